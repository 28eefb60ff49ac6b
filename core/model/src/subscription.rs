//! How a consumer consumes: in which mode, by which way, from where. Which messages it wants is [`crate::filter`]'s.

use std::str::FromStr;

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The name that bodies use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = ();

            /// Reads the name in any case, with or without underscores, or an ordinal: clients of several languages
            /// write all of these.
            fn from_str(text: &str) -> Result<Self, ()> {
                const ALL: &[$name] = &[$($name::$variant),+];
                if let Ok(ordinal) = text.parse::<usize>() {
                    return ALL.get(ordinal).copied().ok_or(());
                }
                let plain = |s: &str| s.replace('_', "").to_ascii_uppercase();
                let asked = plain(text);
                ALL.iter().copied().find(|v| plain(v.as_str()) == asked).ok_or(())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = match serde_json::Value::deserialize(deserializer)? {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                text.parse().map_err(|()| serde::de::Error::custom(format!("unknown {}: {text}", stringify!($name))))
            }
        }
    };
}

wire_enum! {
    /// How members of a group share messages.
    MessageModel {
        /// Every member gets every message.
        Broadcasting = "BROADCASTING",
        /// Each message goes to one member.
        Clustering = "CLUSTERING",
    }
}
wire_enum! {
    /// How a consumer fetches.
    ConsumeType {
        /// The application pulls.
        Actively = "CONSUME_ACTIVELY",
        /// The client library pulls and calls a handler.
        Passively = "CONSUME_PASSIVELY",
        /// The broker hands out leases.
        Pop = "CONSUME_POP",
    }
}
wire_enum! {
    /// Where a group starts on a queue that it has no offset for. The client acts on it; the broker only remembers.
    ConsumeFromWhere {
        /// At the end.
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// Deprecated: as `LastOffset`.
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// Deprecated: as `LastOffset`.
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        /// Deprecated: as `LastOffset`.
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        /// At the oldest message.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// At a point in time.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enum_names_are_read_in_every_clients_spelling() {
        for text in ["CLUSTERING", "Clustering", "1"] {
            assert_eq!(text.parse(), Ok(MessageModel::Clustering));
        }
        assert_eq!("CONSUME_FROM_TIMESTAMP".parse(), Ok(ConsumeFromWhere::Timestamp));
        assert_eq!(serde_json::from_str::<ConsumeFromWhere>("4").unwrap(), ConsumeFromWhere::FirstOffset);
    }
}
