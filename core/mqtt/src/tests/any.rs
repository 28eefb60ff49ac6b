//! Any legal packet of a version and a side.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use crate::properties::*;
use crate::topic::{AnyFilter, Name};
use crate::*;

pub(super) fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        "[ -~]{0,20}",
        "[^\0]{0,12}",
        Just(String::new()),
        Just("\u{FEFF}mark".to_owned()),
        (0..66_000_usize).prop_map(|length| "x".repeat(length.min(65_535))),
    ]
    .prop_map(|text| Text::try_from(text).unwrap())
}

fn short_text() -> impl Strategy<Value = Text> {
    "[^\0]{0,12}".prop_map(|text| Text::try_from(text).unwrap())
}

fn binary() -> impl Strategy<Value = Binary> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| Binary::new(bytes.into()).unwrap())
}

pub(super) fn name() -> impl Strategy<Value = Name> {
    prop_oneof!["[a-z/$ ]{1,30}", "[^\0+#]{1,12}"].prop_map(|name| Name::try_from(name.as_str()).unwrap())
}

/// Mostly legal, shared and not.
fn filter() -> impl Strategy<Value = RequestedFilter> {
    prop_oneof![
        "[a-c+#/$]{0,10}",
        "\\$share/[a-c]{0,2}/[a-c+#/]{0,8}",
        "([a-c]{0,2}/|\\+/){0,4}(#|\\+|[a-z]{1,3})",
    ]
    .prop_map(|filter| AnyFilter::new(Text::try_from(filter).unwrap()))
}

pub(super) fn version() -> impl Strategy<Value = Version> {
    select(vec![Version::V3, Version::V5])
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

fn user() -> impl Strategy<Value = UserProperties> {
    vec((short_text(), short_text()), 0..4)
}

fn session_expiry() -> impl Strategy<Value = SessionExpiry> {
    prop_oneof![any::<u32>(), Just(u32::MAX), Just(0)].prop_map(SessionExpiry::from_u32)
}

fn payload_format() -> impl Strategy<Value = PayloadFormat> {
    select(vec![PayloadFormat::Bytes, PayloadFormat::Utf8])
}

/// A method, and data only with one.
fn authentication() -> impl Strategy<Value = (Option<Text>, Option<Binary>)> {
    of((short_text(), of(binary()))).prop_map(|found| match found {
        Some((method, data)) => (Some(method), data),
        None => (None, None),
    })
}

fn subscription_id() -> impl Strategy<Value = SubscriptionId> {
    prop_oneof![1..300_u32, 1..=268_435_455_u32].prop_map(|id| SubscriptionId::new(id).unwrap())
}

fn nothing_in_v3<P: Absent>(version: Version, properties: P) -> Sparse<P> {
    if version == Version::V5 { properties.into() } else { Sparse::default() }
}

prop_compose! {
    fn connect_properties()(
        session_expiry in of(session_expiry()),
        receive_maximum in of(any::<NonZeroU16>()),
        maximum_packet_size in of(any::<NonZeroU32>()),
        topic_alias_maximum in of(any::<u16>()),
        request_response_information in of(any::<bool>()),
        request_problem_information in of(any::<bool>()),
        (authentication_method, authentication_data) in authentication(),
        user in user(),
    ) -> ConnectProperties {
        ConnectProperties {
            session_expiry, receive_maximum, maximum_packet_size, topic_alias_maximum, request_response_information,
            request_problem_information, authentication_method, authentication_data, user,
        }
    }
}

prop_compose! {
    fn publish_properties(from: Side)(
        payload_format in of(payload_format()),
        message_expiry in of(any::<u32>()),
        response_topic in of(name()),
        correlation_data in of(binary()),
        ids in vec(subscription_id(), 0..3),
        content_type in of(text()),
        user in user(),
    ) -> PublishProperties {
        let subscription_ids = if from == Side::Server { ids } else { Vec::new() };
        PublishProperties {
            payload_format, message_expiry, response_topic, correlation_data, subscription_ids, content_type, user,
        }
    }
}

prop_compose! {
    fn will(version: Version)(
        topic in name(),
        payload in binary(),
        qos in qos(),
        retain in any::<bool>(),
        delay in of(any::<u32>()),
        like in publish_properties(Side::Client),
    ) -> Will {
        let properties = WillProperties {
            delay,
            payload_format: like.payload_format,
            message_expiry: like.message_expiry,
            content_type: like.content_type,
            response_topic: like.response_topic,
            correlation_data: like.correlation_data,
            user: like.user,
        };
        Will { topic, payload, qos, retain, properties: nothing_in_v3(version, properties) }
    }
}

prop_compose! {
    pub(super) fn connect(version: Version)(
        clean_start in any::<bool>(),
        keep_alive in any::<u16>(),
        client_id in text(),
        will in of(will(version)),
        user_name in of(short_text()),
        password in of(binary()),
        properties in connect_properties(),
    ) -> Connect {
        Connect {
            version,
            clean_start: clean_start || version == Version::V3 && client_id.is_empty(),
            keep_alive,
            client_id,
            will,
            password: password.filter(|_| version == Version::V5 || user_name.is_some()),
            user_name,
            properties: nothing_in_v3(version, properties),
        }
    }
}

prop_compose! {
    fn connack_properties()(
        like in connect_properties(),
        maximum_qos in of(select(vec![QoS::AtMostOnce, QoS::AtLeastOnce])),
        flags in vec(of(any::<bool>()), 4),
        (assigned_client_id, reason_string, response_information, server_reference)
            in (of(text()), of(text()), of(text()), of(text())),
        server_keep_alive in of(any::<u16>()),
    ) -> ConnAckProperties {
        ConnAckProperties {
            session_expiry: like.session_expiry,
            receive_maximum: like.receive_maximum,
            maximum_qos,
            retain_available: flags[0],
            maximum_packet_size: like.maximum_packet_size,
            assigned_client_id,
            topic_alias_maximum: like.topic_alias_maximum,
            reason_string,
            wildcard_subscription_available: flags[1],
            subscription_id_available: flags[2],
            shared_subscription_available: flags[3],
            server_keep_alive,
            response_information,
            server_reference,
            authentication_method: like.authentication_method,
            authentication_data: like.authentication_data,
            user: like.user,
        }
    }
}

/// A code that this side may give in this packet.
fn reason(version: Version, packet: PacketType, from: Side) -> impl Strategy<Value = ReasonCode> {
    let in_v3 = |reason: &ReasonCode| match packet {
        PacketType::ConnAck => reason.return_code().and_then(ReasonCode::from_return_code) == Some(*reason),
        PacketType::SubAck => !reason.is_failure() || *reason == ReasonCode::UnspecifiedError,
        _ => *reason == ReasonCode::Success,
    };
    let all = ReasonCode::ALL.iter().copied();
    let legal = all
        .filter(|reason| reason.is_allowed(packet, from))
        .filter(|reason| version == Version::V5 || in_v3(reason));
    select(legal.collect::<Vec<_>>())
}

prop_compose! {
    fn connack(version: Version)(
        present in any::<bool>(),
        reason in reason(version, PacketType::ConnAck, Side::Server),
        properties in connack_properties(),
    ) -> ConnAck {
        ConnAck {
            session_present: present && reason == ReasonCode::Success,
            reason,
            properties: nothing_in_v3(version, properties),
        }
    }
}

prop_compose! {
    pub(super) fn publish(version: Version, from: Side)(
        name in name(),
        alias in of((1..=u16::MAX, any::<bool>())),
        qos in qos(),
        id in id(),
        dup in any::<bool>(),
        retain in any::<bool>(),
        properties in publish_properties(from),
        payload in prop_oneof![vec(any::<u8>(), 0..300), Just(vec![7; 20_000])],
    ) -> Publish {
        let alias = alias.filter(|_| version == Version::V5).map(|(alias, alone)| (TopicAlias::new(alias).unwrap(), alone));
        Publish {
            topic: match alias {
                None => PublishTopic::Name(name),
                Some((alias, false)) => PublishTopic::Define(name, alias),
                Some((alias, true)) => PublishTopic::Alias(alias),
            },
            delivery: match qos {
                QoS::AtMostOnce => Delivery::AtMostOnce,
                QoS::AtLeastOnce => Delivery::AtLeastOnce { id, dup },
                QoS::ExactlyOnce => Delivery::ExactlyOnce { id, dup },
            },
            retain,
            properties: nothing_in_v3(version, properties),
            payload: Bytes::from(payload),
        }
    }
}

prop_compose! {
    fn ack_properties(version: Version)(reason_string in of(text()), user in user()) -> Sparse<AckProperties> {
        nothing_in_v3(version, AckProperties { reason_string, user })
    }
}

fn ack(version: Version, packet: PacketType, from: Side) -> impl Strategy<Value = Ack> {
    (id(), reason(version, packet, from), ack_properties(version)).prop_map(|(id, reason, properties)| Ack {
        id,
        reason,
        properties,
    })
}

fn options(version: Version) -> impl Strategy<Value = SubscriptionOptions> {
    let handling = select(vec![RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never]);
    (qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(qos, no_local, retain_as_published, retain_handling)| match version {
            Version::V3 => SubscriptionOptions { qos, ..SubscriptionOptions::default() },
            Version::V5 => SubscriptionOptions { qos, no_local, retain_as_published, retain_handling },
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe> {
    let wanted = (filter(), options(version)).prop_map(|(filter, mut options)| {
        options.no_local &= !matches!(filter, Ok(AnyFilter::Shared(_)));
        Subscription { filter, options }
    });
    (id(), vec(wanted, 1..5), of(subscription_id()), user()).prop_map(
        move |(id, filters, subscription_id, user)| {
            let properties = nothing_in_v3(version, SubscribeProperties { subscription_id, user });
            Subscribe { id, filters, properties }
        },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe> {
    (id(), vec(filter(), 1..5), user()).prop_map(move |(id, filters, user)| {
        let properties = nothing_in_v3(version, UnsubscribeProperties { user });
        Unsubscribe { id, filters, properties }
    })
}

fn disconnect(version: Version, from: Side) -> impl Strategy<Value = Disconnect> {
    let properties = (of(session_expiry()), of(text()), of(text()), user());
    (reason(version, PacketType::Disconnect, from), properties).prop_map(
        move |(reason, (session_expiry, reason_string, server_reference, user))| {
            let properties = DisconnectProperties {
                session_expiry: session_expiry.filter(|_| from == Side::Client),
                reason_string,
                server_reference: server_reference.filter(|_| from == Side::Server),
                user,
            };
            Disconnect { reason, properties: nothing_in_v3(version, properties) }
        },
    )
}

fn auth(from: Side) -> impl Strategy<Value = Auth> {
    let properties = (short_text(), of(binary()), of(text()), user());
    (reason(Version::V5, PacketType::Auth, from), properties).prop_map(
        |(reason, (method, data, reason_string, user))| {
            let properties = AuthProperties {
                authentication_method: Some(method),
                authentication_data: data,
                reason_string,
                user,
            };
            Auth { reason, properties: properties.into() }
        },
    )
}

/// Any packet that this side may send, CONNECT excepted.
pub(super) fn packet(version: Version, from: Side) -> BoxedStrategy<Packet> {
    let acks = prop_oneof![
        ack(version, PacketType::PubAck, from).prop_map(Packet::PubAck),
        ack(version, PacketType::PubRec, from).prop_map(Packet::PubRec),
        ack(version, PacketType::PubRel, from).prop_map(Packet::PubRel),
        ack(version, PacketType::PubComp, from).prop_map(Packet::PubComp),
    ];
    let publish = publish(version, from).prop_map(Packet::Publish);
    let disconnect = disconnect(version, from).prop_map(Packet::Disconnect);
    let auth = auth(from).prop_map(Packet::Auth);
    let of_side = match from {
        Side::Client => prop_oneof![
            subscribe(version).prop_map(Packet::Subscribe),
            unsubscribe(version).prop_map(Packet::Unsubscribe),
            Just(Packet::PingReq),
            disconnect,
        ]
        .boxed(),
        Side::Server => {
            let codes = |packet| vec(reason(version, packet, Side::Server), 1..5);
            let suback = (id(), codes(PacketType::SubAck), ack_properties(version));
            let unsuback = (id(), codes(PacketType::UnsubAck), ack_properties(version));
            let both = prop_oneof![
                connack(version).prop_map(|answer| Packet::ConnAck(Box::new(answer))),
                suback.prop_map(|(id, reasons, properties)| Packet::SubAck(SubAck {
                    id,
                    reasons,
                    properties
                })),
                unsuback.prop_map(move |(id, reasons, properties)| {
                    let reasons = if version == Version::V5 { reasons } else { Vec::new() };
                    Packet::UnsubAck(UnsubAck { id, reasons, properties })
                }),
                Just(Packet::PingResp),
            ];
            if version == Version::V5 { prop_oneof![both, disconnect].boxed() } else { both.boxed() }
        }
    };
    match version {
        Version::V3 => prop_oneof![publish, acks, of_side].boxed(),
        Version::V5 => prop_oneof![publish, acks, of_side, auth].boxed(),
    }
}
