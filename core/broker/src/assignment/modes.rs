//! Which groups pull and which pop, as operators set it: `config/messageRequestMode.json`.

use std::collections::BTreeMap;
use std::io;

use ferromq_model::config::ConfigValue as _;
use ferromq_model::{GroupName, NameError, TopicName, config_enum};
use ferromq_state::{StateError, StateFile};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::GroupMode;
use crate::groups::GroupError;

/// The most pairs of a group and a topic whose mode is kept.
pub const MAX_REQUEST_MODES: usize = 100_000;

config_enum! {
    /// How messages are asked for.
    pub enum RequestMode {
        /// A queue has one member, which says where it goes on.
        Pull = "PULL",
        /// Members share queues, and acknowledge each message.
        Pop = "POP",
    }
}

/// A group's mode could not be set.
#[derive(Debug, thiserror::Error)]
pub enum SetModeError {
    /// The asker's fault: retries follow their topic.
    #[error("retry topic is not allowed to set mode")]
    RetryTopic,
    /// The asker's fault: set for nothing that exists, it would never be missed.
    #[error("Topic[{0}] not exist")]
    UnknownTopic(TopicName),
    /// There is no such group, and it could not be made.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The asker's fault.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The broker keeps as many as it may.
    #[error("this broker keeps the modes of {MAX_REQUEST_MODES} groups and takes no more")]
    TooMany,
    /// Ours: the change is not on disk, and was taken back.
    #[error("modes cannot be saved: {0}")]
    Save(#[from] io::Error),
}

/// One mode, in RocketMQ's shape. `mode` stays text: a later version may know other words.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SavedMode {
    consumer_group: String,
    mode: String,
    pop_share_queue_num: i32,
    topic: String,
}

impl Default for SavedMode {
    fn default() -> Self {
        Self {
            consumer_group: String::new(),
            mode: RequestMode::Pull.show(),
            pop_share_queue_num: 0,
            topic: String::new(),
        }
    }
}

/// By topic and group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Saved {
    message_request_mode_map: BTreeMap<String, BTreeMap<String, SavedMode>>,
}

/// The modes that were set.
#[derive(Debug)]
pub(crate) struct RequestModes {
    saved: RwLock<Saved>,
    changing: Mutex<StateFile>,
}

impl RequestModes {
    pub(crate) fn load(file: StateFile) -> Result<Self, StateError> {
        let saved = file.load()?.unwrap_or_default();
        Ok(Self { saved: RwLock::new(saved), changing: Mutex::new(file) })
    }

    pub(super) fn find(&self, group: &str, topic: &str) -> Option<GroupMode> {
        let saved = self.saved.read();
        let found = saved.message_request_mode_map.get(topic)?.get(group)?;
        let mode = RequestMode::parse(&found.mode).ok()?;
        Some(GroupMode { mode, pop_share: found.pop_share_queue_num })
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(&*self.saved.read()).expect("text and numbers are JSON")
    }

    pub(super) fn set(
        &self,
        group: &GroupName,
        topic: &TopicName,
        mode: GroupMode,
    ) -> Result<(), SetModeError> {
        let file = self.changing.lock();
        let mut changed = self.saved.read().clone();
        let groups = changed.message_request_mode_map.entry(topic.as_str().to_owned()).or_default();
        groups.insert(
            group.as_str().to_owned(),
            SavedMode {
                consumer_group: group.as_str().to_owned(),
                mode: mode.mode.show(),
                pop_share_queue_num: mode.pop_share,
                topic: topic.as_str().to_owned(),
            },
        );
        if changed.message_request_mode_map.values().map(BTreeMap::len).sum::<usize>() > MAX_REQUEST_MODES {
            return Err(SetModeError::TooMany);
        }
        file.save(&changed)?;
        *self.saved.write() = changed;
        Ok(())
    }

    /// Forgets the modes of what is gone. Blocks if there are any.
    pub(crate) fn forget(&self, gone: impl Fn(&str, &str) -> bool) -> io::Result<()> {
        let file = self.changing.lock();
        let mut changed = {
            let saved = self.saved.read();
            let mut pairs = saved
                .message_request_mode_map
                .iter()
                .flat_map(|(topic, groups)| groups.keys().map(move |group| (topic, group)));
            if !pairs.any(|(topic, group)| gone(topic, group)) {
                return Ok(());
            }
            saved.clone()
        };
        changed.message_request_mode_map.retain(|topic, groups| {
            groups.retain(|group, _| !gone(topic, group));
            !groups.is_empty()
        });
        file.save(&changed)?;
        *self.saved.write() = changed;
        Ok(())
    }
}
