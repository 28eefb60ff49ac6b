//! What a consumer asks for: which tags, in which mode, from where.

use std::str::FromStr;

use crate::message::{TagsCode, java_hash};

/// Which messages of a topic a subscription lets through, decided on the broker by the tag's hash alone; the client
/// compares the text again, so a collision costs bytes, never a wrong delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TagFilter {
    /// Every message.
    #[default]
    All,
    /// Messages whose tag has one of these hashes, sorted.
    Codes(Vec<i32>),
}

/// The most tags an expression may name.
pub const MAX_TAGS: usize = 1024;

impl TagFilter {
    /// Reads `TagA || TagB`; empty and `*` let everything through.
    #[must_use]
    pub fn parse(expression: &str) -> Self {
        let expression = expression.trim();
        if expression.is_empty() || expression == "*" {
            return Self::All;
        }
        let mut codes: Vec<i32> = expression
            .split("||")
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .take(MAX_TAGS)
            .map(java_hash)
            .collect();
        codes.sort_unstable();
        codes.dedup();
        Self::Codes(codes)
    }

    /// Whether a message with this code passes. Only the low 32 bits count.
    #[must_use]
    pub fn admits(&self, code: TagsCode) -> bool {
        match self {
            Self::All => true,
            Self::Codes(codes) => codes.binary_search(&(code.0 as i32)).is_ok(),
        }
    }
}

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
    fn tag_expressions_admit_by_hash() {
        let filter = TagFilter::parse(" TagA||  TagB ");
        assert!(filter.admits(TagsCode::of(Some("TagA"))) && filter.admits(TagsCode::of(Some("TagB"))));
        assert!(!filter.admits(TagsCode::of(Some("TagC"))) && !filter.admits(TagsCode::of(None)));
        assert_eq!((TagFilter::parse("*"), TagFilter::parse(" ")), (TagFilter::All, TagFilter::All));
    }

    #[test]
    fn enum_names_are_read_in_every_clients_spelling() {
        for text in ["CLUSTERING", "Clustering", "1"] {
            assert_eq!(text.parse(), Ok(MessageModel::Clustering));
        }
        assert_eq!("CONSUME_FROM_TIMESTAMP".parse(), Ok(ConsumeFromWhere::Timestamp));
        assert_eq!(serde_json::from_str::<ConsumeFromWhere>("4").unwrap(), ConsumeFromWhere::FirstOffset);
    }
}
