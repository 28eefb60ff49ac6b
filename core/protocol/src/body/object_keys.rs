//! Maps whose keys are objects, as Java writes them: `{{"brokerName":"b","queueId":0,"topic":"T"}:5}`. That is no JSON;
//! old clients know no other form, and newer ones read it.
//!
//! Both this form and one with the keys as texts are read.

use std::collections::BTreeMap;

use ferromq_model::dialect;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::member::MessageQueue;
use super::{Style, json};

/// A map from objects. Inside it everything is in Java's style, whatever the body around it asks for: standard JSON has
/// no such map.
///
/// It can be written by [`encode`](super::encode) only; other serializers see bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectKeyed<K, V>(pub BTreeMap<K, V>);

/// Something for each of several queues.
pub type ByQueue<V> = ObjectKeyed<MessageQueue, V>;

impl<K, V> Default for ObjectKeyed<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for ObjectKeyed<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<K: Serialize, V: Serialize> Serialize for ObjectKeyed<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = vec![b'{'];
        for (key, value) in &self.0 {
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(&json::encode(key, Style::Java));
            text.push(b':');
            text.extend_from_slice(&json::encode(value, Style::Java));
        }
        text.push(b'}');
        serializer.serialize_bytes(&text)
    }
}

impl<'de, K, V> Deserialize<'de> for ObjectKeyed<K, V>
where
    K: DeserializeOwned + Ord,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The keys are texts by now: whoever reads a body lets `dialect` quote them first.
        BTreeMap::<String, V>::deserialize(deserializer)?
            .into_iter()
            .map(|(key, value)| Ok((dialect::from_slice(key.as_bytes()).map_err(D::Error::custom)?, value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ferromq_model::QueueId;

    use super::*;
    use crate::body::{decode, encode, encode_as};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        after: String,
        offset_table: ByQueue<BTreeMap<u64, String>>,
        other: ByQueue<i64>,
    }

    fn queue(topic: &str, id: u32) -> MessageQueue {
        MessageQueue { broker_name: "b\"}".into(), queue_id: QueueId(id), topic: topic.into() }
    }

    #[test]
    fn object_keys_are_written_as_java_does_and_read_back() {
        let body = Body {
            after: "ä".into(),
            offset_table: [(queue("T", 0), BTreeMap::from([(7, "x".into())]))].into_iter().collect(),
            other: [(queue("T", 0), 5), (queue("T", 1), -1)].into_iter().collect(),
        };
        let text = String::from_utf8(encode(&body)).unwrap();
        let key = |id| format!(r#"{{"brokerName":"b\"}}","queueId":{id},"topic":"T"}}"#);
        let (first, second) = (key(0), key(1));
        let expected = format!(
            r#"{{"after":"ä","offsetTable":{{{first}:{{7:"x"}}}},"other":{{{first}:5,{second}:-1}}}}"#
        );
        assert_eq!(text, expected);
        assert_eq!(decode::<Body>(text.as_bytes()).unwrap(), body);
        let standard = encode_as(&body, Style::Standard);
        assert_eq!(decode::<Body>(&standard).unwrap(), body, "only what is outside of the map changes");
    }

    #[test]
    fn keys_that_are_texts_are_read_too_and_broken_ones_refused() {
        let read = |text: &str| decode::<ByQueue<i64>>(text.as_bytes());
        let text = r#"{"{\"brokerName\":\"b\\\"}\",\"queueId\":3,\"topic\":\"T\"}":9}"#;
        assert_eq!(read(text).unwrap().0[&queue("T", 3)], 9);
        assert_eq!(read("{}").unwrap(), ByQueue::default());
        assert_eq!(encode(&ByQueue::<i64>::default()), b"{}");
        read(r#"{"T":9}"#).unwrap_err();
        read(r#"{{"queueId":"x"}:9}"#).unwrap_err();
    }
}
