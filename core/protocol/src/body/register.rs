//! What a broker tells NameServers about its topics, as JSON or compressed.
//!
//! The compressed form, which brokers before 5.1 can be set to, is one zlib stream:
//!
//! ```text
//! length 4, data version as JSON
//! count 4 | length 4, "name readQueues writeQueues perm filterType [attributes as JSON]" | …
//! length 4, filter servers as JSON
//! count 4 | length 4, mapping of a topic whose queues can move, as JSON | …      from brokers of 5.0 on
//! ```

use std::collections::BTreeMap;
use std::io::Read as _;

use ferromq_model::TopicName;
use ferromq_model::dialect;
use ferromq_model::topic::{DataVersion, Permission, TopicConfig, TopicFilterType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::loose::or_default;
use super::{BodyError, decode};

/// The most that a compressed body may hold: about 300,000 topics. A frame of 16 MiB could hold a thousand times that.
pub const MAX_INFLATED: u64 = 64 << 20;

/// Brokers before this version (3.0.11) send the table of topics bare.
const WRAPPED_FROM: i32 = 37;
/// Brokers from this version (5.0.0) on end the compressed form with mappings.
const MAPPINGS_FROM: i32 = 413;

/// The body of a registration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterBrokerBody {
    /// Historical.
    #[serde(default, deserialize_with = "or_default")]
    pub filter_server_list: Vec<String>,
    /// The topics.
    #[serde(default, deserialize_with = "or_default")]
    pub topic_config_serialize_wrapper: TopicConfigWrapper,
}

/// All topics of a broker, or those that have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "Incoming")]
pub struct TopicConfigWrapper {
    /// The version of the table.
    pub data_version: DataVersion,
    /// The version of the mappings.
    pub mapping_data_version: DataVersion,
    /// Settings by topic.
    pub topic_config_table: BTreeMap<TopicName, TopicConfig>,
    /// For topics whose queues can move: where they are, in full.
    pub topic_queue_mapping_detail_map: BTreeMap<String, Value>,
    /// For topics whose queues can move: where they are, as routes tell it.
    pub topic_queue_mapping_info_map: BTreeMap<String, Value>,
    /// Topics that were left out while reading, since their names or settings make no sense.
    #[serde(skip)]
    pub unreadable: Vec<String>,
}

/// The table as received: a topic that makes no sense must not cost the others their route.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming {
    #[serde(default, deserialize_with = "or_default")]
    data_version: DataVersion,
    #[serde(default, deserialize_with = "or_default")]
    mapping_data_version: DataVersion,
    #[serde(default, deserialize_with = "or_default")]
    topic_config_table: BTreeMap<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    topic_queue_mapping_detail_map: BTreeMap<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    topic_queue_mapping_info_map: BTreeMap<String, Value>,
}

impl From<Incoming> for TopicConfigWrapper {
    fn from(incoming: Incoming) -> Self {
        let mut wrapper = Self {
            data_version: incoming.data_version,
            mapping_data_version: incoming.mapping_data_version,
            topic_queue_mapping_detail_map: incoming.topic_queue_mapping_detail_map,
            topic_queue_mapping_info_map: incoming.topic_queue_mapping_info_map,
            ..Self::default()
        };
        for (name, mut config) in incoming.topic_config_table {
            if let Some(members) = config.as_object_mut() {
                members.retain(|_, value| !value.is_null());
                // The key is what the reference goes by.
                members.insert("topicName".to_owned(), Value::String(name.clone()));
            }
            match serde_json::from_value(config) {
                Ok(config) => wrapper.insert(config),
                Err(_) => wrapper.unreadable.push(name),
            }
        }
        wrapper
    }
}

impl TopicConfigWrapper {
    fn insert(&mut self, config: TopicConfig) {
        self.topic_config_table.insert(config.topic_name.clone(), config);
    }
}

impl RegisterBrokerBody {
    /// Reads the body of a registration by a broker of this version; no bytes stand for no topics.
    ///
    /// # Errors
    /// [`BodyError`]. The reference takes such a body for an empty one.
    pub fn read(body: &[u8], compressed: bool, version: i32) -> Result<Self, BodyError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        if compressed {
            return Self::read_parts(&inflate(body, MAX_INFLATED)?, version);
        }
        if version < WRAPPED_FROM {
            return Ok(Self { topic_config_serialize_wrapper: decode(body)?, ..Self::default() });
        }
        decode(body)
    }

    fn read_parts(bytes: &[u8], version: i32) -> Result<Self, BodyError> {
        let mut parts = Parts { rest: bytes };
        let mut wrapper = TopicConfigWrapper { data_version: decode(parts.part()?)?, ..Default::default() };
        for _ in 0..parts.count()? {
            let text = String::from_utf8_lossy(parts.part()?);
            match topic_config(&text) {
                Some(config) => wrapper.insert(config),
                None => wrapper.unreadable.push(text.into_owned()),
            }
        }
        let filter_server_list = decode(parts.part()?)?;
        if version >= MAPPINGS_FROM {
            for _ in 0..parts.count()? {
                let mapping: Value = decode(parts.part()?)?;
                let topic = mapping.get("topic").and_then(Value::as_str).unwrap_or_default().to_owned();
                wrapper.topic_queue_mapping_info_map.insert(topic, mapping);
            }
        }
        Ok(Self { filter_server_list, topic_config_serialize_wrapper: wrapper })
    }
}

/// Decompresses a zlib stream that must not hold more than `limit` bytes.
pub(super) fn inflate(body: &[u8], limit: u64) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    let mut stream = flate2::read::ZlibDecoder::new(body).take(limit + 1);
    stream.read_to_end(&mut bytes).map_err(|_| BodyError::Compressed("no zlib stream"))?;
    if bytes.len() as u64 > limit {
        return Err(BodyError::TooLarge { limit });
    }
    Ok(bytes)
}

/// Reads `name readQueues writeQueues perm filterType [attributes]`.
fn topic_config(text: &str) -> Option<TopicConfig> {
    let mut words = text.splitn(6, ' ');
    let topic = TopicName::new(words.next()?).ok()?;
    let mut number = || words.next()?.parse::<u32>().ok();
    let (read, write, perm) = (number()?, number()?, number()?);
    let filter_type = TopicFilterType::parse(words.next()?);
    let attributes = words.next().and_then(|json| dialect::from_slice(json.as_bytes()).ok());
    Some(TopicConfig {
        attributes: attributes.unwrap_or_default(),
        read_queue_nums: read,
        write_queue_nums: write,
        topic_filter_type: filter_type,
        ..TopicConfig::new(topic, write).with_perm(Permission(perm))
    })
}

/// The parts of what was compressed.
struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn count(&mut self) -> Result<usize, BodyError> {
        let (count, rest) = self.rest.split_first_chunk().ok_or(BodyError::Compressed("cut short"))?;
        self.rest = rest;
        usize::try_from(i32::from_be_bytes(*count)).map_err(|_| BodyError::Compressed("negative length"))
    }

    fn part(&mut self) -> Result<&'a [u8], BodyError> {
        let len = self.count()?;
        let (part, rest) = self.rest.split_at_checked(len).ok_or(BodyError::Compressed("cut short"))?;
        self.rest = rest;
        Ok(part)
    }
}
