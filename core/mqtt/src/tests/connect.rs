//! CONNECT, which comes first, and CONNACK.

use super::*;

/// CONNECT by hand, field by field.
struct Raw<'a> {
    first: u8,
    protocol: &'a [u8],
    level: u8,
    flags: u8,
    /// With their length; empty in 3.1.1.
    properties: &'a [u8],
    /// All counted fields.
    payload: Vec<u8>,
}

impl Raw<'_> {
    /// A clean start of the client "c".
    fn new(version: Version) -> Self {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        Raw {
            first: 0x10,
            protocol: b"MQTT",
            level: version.level(),
            flags: 0b10,
            properties,
            payload: counted(b"c"),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let fixed = [self.level, self.flags, 0, 60];
        raw(self.first, &[&counted(self.protocol), &fixed, self.properties, &self.payload])
    }

    fn decode(&self) -> Result<Connect, ConnectError> {
        first(&self.bytes())
    }

    fn with(mut self, flags: u8, fields: &[&[u8]]) -> Self {
        self.flags = flags;
        self.payload = fields.iter().flat_map(|field| counted(field)).collect();
        self
    }
}

fn first(bytes: &[u8]) -> Result<Connect, ConnectError> {
    let mut buffer = BytesMut::from(bytes);
    Ok(decode_connect(&mut buffer, &Limits::default())?.expect("a complete packet"))
}

/// What the client is told: the version and the code, or nothing.
fn told(error: &ConnectError) -> Option<(Version, ReasonCode)> {
    error.answer().map(|(version, answer)| (version, answer.reason))
}

/// Refused as it is in each version: 3.1.1 in silence, 5.0 with the code.
fn assert_refused(result: Result<Connect, ConnectError>, version: Version, reason: ReasonCode) {
    let error = result.expect_err("a wrong CONNECT");
    assert_eq!(error.cause.reason(), reason, "{error}");
    assert_eq!(told(&error), (version == Version::V5).then_some((Version::V5, reason)), "{error}");
}

/// 3:3.1.0-1, 5:3.1.0-1
#[test]
fn anything_else_first_is_refused_without_an_answer() {
    for byte in 0..=255 {
        if byte >> 4 != 1 {
            let error = first(&[byte]).unwrap_err();
            assert_eq!((error.cause.clone(), error.answer()), (DecodeError::NotConnect, None));
        }
    }
}

/// 3:3.1.2-1, 5:3.1.2-1
#[test]
fn another_protocol_is_refused_without_an_answer() {
    for protocol in [&b"MQTt"[..], b"mqtt", b"", b"MQTT2", b"HTTP", b"\xFF"] {
        let error = Raw { protocol, ..Raw::new(Version::V5) }.decode().unwrap_err();
        assert_eq!((error.cause.clone(), error.answer()), (DecodeError::NotMqtt, None));
    }
}

/// 3:3.1.2-2, 5:3.1.2-2
#[test]
fn another_level_is_refused_with_return_code_1() {
    for level in (0..=255).filter(|level| ![4, 5].contains(level)) {
        let error = Raw { level, ..Raw::new(Version::V3) }.decode().unwrap_err();
        let (version, answer) = error.answer().unwrap();
        assert_eq!(written(&Packet::ConnAck(Box::new(answer)), version), raw(0x20, &[&[0, 1]]));
    }
}

#[test]
fn mqtt_3_1_is_told_that_it_is_too_old() {
    let error = Raw { protocol: b"MQIsdp", level: 3, ..Raw::new(Version::V3) }.decode().unwrap_err();
    assert_eq!(told(&error), Some((Version::V3, ReasonCode::UnsupportedProtocolVersion)));
}

/// 3:2.2.2-2, 5:2.1.3-1
#[test]
fn reserved_flags_of_the_first_byte_are_malformed() {
    for version in BOTH {
        for byte in 0x11..=0x1F {
            assert_refused(Raw { first: byte, ..Raw::new(version) }.decode(), version, MALFORMED);
        }
    }
}

/// 3:3.1.2-3, 5:3.1.2-3
#[test]
fn the_reserved_connect_flag_is_malformed() {
    for version in BOTH {
        assert_refused(Raw { flags: 0b11, ..Raw::new(version) }.decode(), version, MALFORMED);
    }
}

/// 3:3.1.2-11, 3:3.1.2-13, 3:3.1.2-15, 5:3.1.2-11, 5:3.1.2-13; 3:3.1.2-14, 5:3.1.2-12
#[test]
fn a_will_has_a_legal_qos_and_without_one_there_are_no_flags_of_it() {
    for version in BOTH {
        for flags in [0b0010_0000, 0b0000_1000, 0b0001_0000] {
            assert_refused(Raw { flags, ..Raw::new(version) }.decode(), version, MALFORMED);
        }
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        for (bits, qos) in [(0, Some(0)), (1, Some(1)), (2, Some(2)), (3, None)] {
            let mut connect = Raw::new(version).with(0b110 | bits << 3, &[b"c"]);
            connect.payload.extend([properties, &counted(b"topic"), &counted(b"")].concat());
            match (connect.decode(), qos) {
                (Ok(got), Some(qos)) => assert_eq!(got.will.unwrap().qos as u8, qos),
                (result, None) => assert_refused(result, version, MALFORMED),
                (Err(error), Some(_)) => panic!("{error}"),
            }
        }
    }
}

/// 3:3.1.2-9, 5:3.1.2-9, 3:3.1.2-16, 5:3.1.2-14, 3:3.1.3-10, 5:3.1.3-11
#[test]
fn a_will_is_complete_and_its_topic_is_a_name() {
    for version in BOTH {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let with = |topic: &[u8], payload: &[u8]| {
            let mut connect = Raw::new(version).with(0b10_0110, &[b"c"]);
            connect.payload.extend([properties, &counted(topic), payload].concat());
            connect.decode()
        };
        let will = with(b"a/b", &counted(b"")).unwrap().will.unwrap();
        assert_eq!((will.topic.as_str(), will.payload.len(), will.retain), ("a/b", 0, true));
        assert_eq!(
            &with(b"a", &counted(b"\xFF\0")).unwrap().will.unwrap().payload[..],
            b"\xFF\0",
            "any bytes"
        );
        assert_refused(with(b"a/b", b""), version, MALFORMED);
        assert_refused(with(b"a/+", &counted(b"")), version, ReasonCode::TopicNameInvalid);
        assert_refused(with(b"", &counted(b"")), version, MALFORMED);
        assert_refused(with(b"\xFF", &counted(b"")), version, MALFORMED);
    }
}

/// 3:3.1.3-1, 5:3.1.3-1; 3:3.1.2-18 to 3:3.1.2-21, 5:3.1.2-16 to 5:3.1.2-19
#[test]
fn the_payload_has_its_fields_in_order_and_exactly_those_that_the_flags_say() {
    for version in BOTH {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let mut connect = Raw::new(version).with(0b1100_0110, &[b"c"]);
        let rest =
            [counted(b"topic"), counted(b"last words"), counted(b"user"), counted(b"secret\xFF")].concat();
        connect.payload.extend([properties, &rest].concat());
        let got = connect.decode().unwrap();
        assert_eq!((got.version, got.clean_start, got.keep_alive), (version, true, 60));
        assert_eq!(got.client_id, "c");
        let will = got.will.unwrap();
        assert_eq!((will.topic.as_str(), &will.payload[..]), ("topic", &b"last words"[..]));
        assert_eq!(got.user_name.as_deref(), Some("user"));
        assert_eq!(got.password.as_deref(), Some(&b"secret\xFF"[..]));

        assert_refused(Raw::new(version).with(0b1000_0010, &[b"c"]).decode(), version, MALFORMED);
        assert_refused(Raw::new(version).with(0b1100_0010, &[b"c", b"user"]).decode(), version, MALFORMED);
        assert_refused(Raw::new(version).with(0b10, &[b"c", b"user"]).decode(), version, MALFORMED);
        assert_refused(
            Raw::new(version).with(0b1000_0010, &[b"c", b"user", b"x"]).decode(),
            version,
            MALFORMED,
        );
    }
}

/// 3:3.1.3-11, 5:3.1.3-12
#[test]
fn a_user_name_is_a_text_and_an_empty_one_is_not_none() {
    for version in BOTH {
        assert_refused(Raw::new(version).with(0b1000_0010, &[b"c", b"\xFF"]).decode(), version, MALFORMED);
        let got = Raw::new(version).with(0b1000_0010, &[b"c", b""]).decode().unwrap();
        assert_eq!(got.user_name.as_deref(), Some(""));
        assert_eq!(Raw::new(version).decode().unwrap().user_name, None);
    }
}

/// 3:3.1.2-22
#[test]
fn a_password_without_user_name_is_for_5_0() {
    let connect = |version| Raw::new(version).with(0b0100_0010, &[b"c", b"secret"]).decode();
    assert_refused(connect(Version::V3), Version::V3, MALFORMED);
    assert_eq!(connect(Version::V5).unwrap().password.as_deref(), Some(&b"secret"[..]));
}

/// 3:3.1.3-3, 3:3.1.3-4, 5:3.1.3-3, 5:3.1.3-4; 3:3.1.3-5, 5:3.1.3-5
#[test]
fn a_client_identifier_is_always_there_and_any_text() {
    for version in BOTH {
        assert_refused(Raw { payload: Vec::new(), ..Raw::new(version) }.decode(), version, MALFORMED);
        assert_refused(Raw::new(version).with(0b10, &[b"\xC3("]).decode(), version, MALFORMED);
        let long = "é/+#$ ".repeat(100);
        for id in ["0123456789abcdefghijABC", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", &long] {
            assert_eq!(Raw::new(version).with(0b10, &[id.as_bytes()]).decode().unwrap().client_id, id);
        }
    }
}

/// 3:3.1.3-7, 3:3.1.3-8, 5:3.1.3-6
#[test]
fn in_3_1_1_an_empty_identifier_is_for_clean_sessions() {
    assert!(Raw::new(Version::V3).with(0b10, &[b""]).decode().is_ok());
    let error = Raw::new(Version::V3).with(0, &[b""]).decode().unwrap_err();
    let (version, answer) = error.answer().unwrap();
    assert_eq!(written(&Packet::ConnAck(Box::new(answer)), version), raw(0x20, &[&[0, 2]]));
    for flags in [0, 0b10] {
        assert_eq!(Raw::new(Version::V5).with(flags, &[b""]).decode().unwrap().client_id, "");
    }
}

/// 3:3.1.4-1, 5:3.1.4-1
#[test]
fn a_connect_that_is_too_large_is_answered_in_its_own_version() {
    let limits = Limits { packet: 20, ..Limits::default() };
    for (version, told_code) in [(Version::V3, None), (Version::V5, Some(ReasonCode::PacketTooLarge))] {
        let bytes = Raw { payload: counted(&[b'c'; 30]), ..Raw::new(version) }.bytes();
        let error = decode_connect(&mut BytesMut::from(&bytes[..10]), &limits).unwrap_err();
        assert_eq!(told(&error).map(|(_, code)| code), told_code);
        let error = decode_connect(&mut BytesMut::from(&bytes[..2]), &limits).unwrap_err();
        assert_eq!(error.answer(), None, "nobody knows the version yet");
    }
}

#[test]
fn a_connect_is_waited_for() {
    let bytes = Raw::new(Version::V5).bytes();
    for length in 0..bytes.len() {
        let mut buffer = BytesMut::from(&bytes[..length]);
        assert_eq!(decode_connect(&mut buffer, &Limits::default()), Ok(None));
        assert_eq!(buffer.len(), length);
    }
}

/// 5:1.5.5-1
#[test]
fn a_length_in_more_bytes_than_it_needs_is_malformed_in_5_0() {
    for version in BOTH {
        let mut bytes = Raw::new(version).bytes();
        bytes[1] |= 0x80;
        bytes.insert(2, 0);
        match version {
            Version::V3 => assert!(first(&bytes).is_ok()),
            Version::V5 => assert_refused(first(&bytes), version, MALFORMED),
        }
    }
}

#[test]
fn authentication_data_is_only_there_with_a_method() {
    let with = |properties: &[u8]| {
        let properties = [&[properties.len() as u8], properties].concat();
        Raw { properties: &properties, ..Raw::new(Version::V5) }.decode()
    };
    let (method, data) = ([&[0x15][..], &counted(b"m")].concat(), [&[0x16][..], &counted(b"\xFF")].concat());
    assert_eq!(with(&method).unwrap().properties.authentication_method.as_deref(), Some("m"));
    assert!(with(&[&data[..], &method].concat()).is_ok());
    assert_refused(with(&data), Version::V5, PROTOCOL);
}

#[test]
fn what_is_not_said_has_its_default() {
    let clean = Raw::new(Version::V3).decode().unwrap();
    assert_eq!(clean.session_expiry(), SessionExpiry::AT_CLOSE);
    assert_eq!(
        Raw { flags: 0, ..Raw::new(Version::V3) }.decode().unwrap().session_expiry(),
        SessionExpiry::Never
    );
    let silent = Raw { flags: 0, ..Raw::new(Version::V5) }.decode().unwrap();
    assert_eq!(silent.session_expiry(), SessionExpiry::AT_CLOSE);
    assert_eq!((silent.receive_maximum(), silent.maximum_packet_size()), (u16::MAX, u32::MAX));
    assert_eq!(silent.topic_alias_maximum(), 0);
    assert!(silent.wants_problem_information() && !silent.wants_response_information());
    let properties = &[5, 0x11, 0xFF, 0xFF, 0xFF, 0xFF];
    let for_ever = Raw { properties, ..Raw::new(Version::V5) }.decode().unwrap();
    assert_eq!(for_ever.session_expiry(), SessionExpiry::Never);
    assert_eq!(for_ever.session_expiry().duration(), None);
}

/// 5:3.2.2-1; 3:3.2.2-4, 5:3.2.2-6
#[test]
fn connack_has_one_flag_and_only_with_success() {
    for version in BOTH {
        let no_properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        let refused = if version == Version::V5 { 0x87 } else { 5 };
        for flags in 0..=255 {
            let got = one(version, Side::Server, &raw(0x20, &[&[flags, 0], no_properties]));
            assert_eq!(got.is_ok(), flags <= 1);
        }
        assert!(one(version, Side::Server, &raw(0x20, &[&[0, refused], no_properties])).is_ok());
        assert!(one(version, Side::Server, &raw(0x20, &[&[1, refused], no_properties])).is_err());
        let illegal = ConnAck { session_present: true, ..ConnAck::refused(ReasonCode::NotAuthorized) };
        let error = encode(&Packet::ConnAck(Box::new(illegal)), version, u32::MAX, &mut BytesMut::new());
        assert!(matches!(error, Err(EncodeError::Illegal(_))));
    }
}

/// 3:3.2.2-6
#[test]
fn in_3_1_1_there_are_six_return_codes_and_nothing_is_sent_where_none_fits() {
    for code in 0..=255 {
        assert_eq!(one(Version::V3, Side::Server, &raw(0x20, &[&[0, code]])).is_ok(), code <= 5);
    }
    for &reason in ReasonCode::ALL {
        let answer = Packet::ConnAck(Box::new(ConnAck::refused(reason)));
        let mut out = BytesMut::new();
        match encode(&answer, Version::V3, u32::MAX, &mut out) {
            Ok(()) => assert_eq!(Some(out[3]), reason.return_code()),
            Err(error) => {
                assert_eq!((error, out.len()), (EncodeError::NotInVersion(PacketType::ConnAck), 0));
                assert_eq!(reason.return_code(), None);
            }
        }
    }
}
