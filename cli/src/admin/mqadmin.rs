//! RocketMQ's names for the commands of `mqadmin`, with its options: `ferromq admin updateTopic -c C -t T`.
//!
//! A command line that begins with one of the names is written anew before it is read: each option of `mqadmin` becomes
//! ours, or an argument by its place. What is no option of `mqadmin`, such as `--output json`, stays as it is.

use std::ffi::OsString;

use Meaning::{Argument, Flag, Named, Nothing, Switch};

/// What an option of `mqadmin` is here.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    /// An option with a value: this one.
    Named(&'static str),
    /// An argument by its place; its number says which.
    Argument(usize),
    /// No value there, and this here.
    Flag(&'static str),
    /// `true` or `false` there, and here this if it is `true`.
    Switch(&'static str),
    /// A value that means nothing here.
    Nothing,
}

/// A command of `mqadmin`.
#[derive(Clone, Copy, Debug)]
struct Name {
    /// RocketMQ's name.
    theirs: &'static str,
    /// Our command, and what it is always given; or why there is none.
    ours: Result<&'static [&'static str], &'static str>,
    /// Its options: by letter or name, and what they are here.
    options: &'static [(&'static str, Meaning)],
}

const fn name(
    theirs: &'static str,
    ours: &'static [&'static str],
    options: &'static [(&'static str, Meaning)],
) -> Name {
    Name { theirs, ours: Ok(ours), options }
}

const fn nothing(theirs: &'static str, why: &'static str) -> Name {
    Name { theirs, ours: Err(why), options: &[] }
}

const C: (&str, Meaning) = ("c|clusterName", Named("--cluster"));
const B: (&str, Meaning) = ("b|brokerAddr|brokerName", Named("--broker"));
/// One place of it, whatever it is.
const T0: (&str, Meaning) = ("t|topic|topicName", Argument(0));
const G0: (&str, Meaning) = ("g|group|groupName|consumerGroup", Argument(0));
const T1: (&str, Meaning) = ("t|topic|topicName", Argument(1));

const NO_CONTROLLER: &str = "there is no controller here: brokers are masters of their own";
const NO_CONTAINER: &str = "one process is one broker here: start or stop it as a service";
const NO_ACCESS: &str = "there are no users and access rules here yet";
const NO_COLD: &str = "cold data is not told from hot data here";
const NO_ROCKSDB: &str = "nothing is kept in RocksDB here";
const NO_STATIC: &str = "there are no static topics here";
const MEASURE: &str = "use `ferromq bench send` and `ferromq bench e2e`, which measure more";

/// Every command of `mqadmin` 5.3.3.
const NAMES: &[Name] = &[
    name("addWritePerm", &["namesrv", "allow-writes"], &[("b|brokerName", Argument(0))]),
    name("wipeWritePerm", &["namesrv", "wipe-writes"], &[("b|brokerName", Argument(0))]),
    name("allocateMQ", &["topic", "allocate"], &[T0, ("i|ipList", Argument(1))]),
    name(
        "brokerConsumeStats",
        &["group", "progress"],
        &[B, ("t|timeoutMillis", Nothing), ("l|level", Nothing), ("o|order", Nothing)],
    ),
    name("brokerStatus", &["broker", "status"], &[B, C]),
    name("cleanExpiredCQ", &["broker", "clean", "--what=queues"], &[B, ("c|cluster", Named("--cluster"))]),
    name("cleanUnusedTopic", &["broker", "clean", "--what=topics"], &[B, ("c|cluster", Named("--cluster"))]),
    name(
        "deleteExpiredCommitLog",
        &["broker", "clean", "--what=log"],
        &[B, ("c|cluster", Named("--cluster"))],
    ),
    name(
        "cloneGroupOffset",
        &["offset", "clone"],
        &[
            ("s|srcGroup", Argument(0)),
            ("d|destGroup", Argument(1)),
            ("t|topic", Argument(2)),
            ("o|offline", Nothing),
        ],
    ),
    name("clusterList", &["cluster", "list"], &[C, ("m|moreStats", Flag("")), ("i|interval", Nothing)]),
    name(
        "consumeMessage",
        &["message", "read"],
        &[
            T0,
            ("b|brokerName", Named("--of")),
            ("i|queueId", Named("--queue")),
            ("o|offset", Named("--offset")),
            ("g|consumerGroup", Nothing),
            ("s|beginTimestamp", Named("--begin")),
            ("e|endTimestamp", Named("--end")),
            ("c|MessageNumber", Named("--count")),
        ],
    ),
    name("consumerConnection", &["connections", "consumer"], &[G0, B]),
    name(
        "consumerProgress",
        &["group", "progress"],
        &[
            G0,
            ("t|topicName", Named("--topic")),
            ("c|cluster", Named("--cluster")),
            ("s|showClientIP", Switch("")),
        ],
    ),
    name(
        "consumerStatus",
        &["group", "running"],
        &[G0, ("i|clientId", Named("--client")), ("s|jstack", Flag("--stack")), ("b|brokerAddr", Nothing)],
    ),
    name(
        "deleteKvConfig",
        &["namesrv", "kv", "delete"],
        &[("s|namespace", Argument(0)), ("k|key", Argument(1))],
    ),
    name(
        "updateKvConfig",
        &["namesrv", "kv", "put"],
        &[("s|namespace", Argument(0)), ("k|key", Argument(1)), ("v|value", Argument(2))],
    ),
    name("deleteSubGroup", &["group", "delete"], &[G0, B, C, ("r|removeOffset", Named("--offsets"))]),
    name("deleteTopic", &["topic", "delete"], &[T0, C]),
    name("exportConfigs", &["broker", "config"], &[C, ("f|filePath", Nothing)]),
    name(
        "exportMetadata",
        &["topic", "config"],
        &[
            C,
            B,
            ("f|filePath", Nothing),
            ("t|topic", Flag("")),
            ("g|subscriptionGroup", Flag("")),
            ("s|specialTopic", Flag("")),
        ],
    ),
    name("exportMetrics", &["broker", "status"], &[C, ("f|filePath", Nothing)]),
    name("getBrokerConfig", &["broker", "config"], &[B, C, ("k|keyPattern", Argument(0))]),
    name("getConsumerConfig", &["group", "config"], &[G0]),
    name("getNamesrvConfig", &["namesrv", "config"], &[]),
    name("haStatus", &["broker", "replication"], &[B, C, ("i|interval", Nothing)]),
    name(
        "printMsg",
        &["message", "read", "--count=1000000"],
        &[
            T0,
            ("c|charsetName", Nothing),
            ("s|subExpression", Named("--tag")),
            ("b|beginTimestamp", Named("--begin")),
            ("e|endTimestamp", Named("--end")),
            ("d|printBody", Nothing),
            ("l|lmqParentTopic", Nothing),
        ],
    ),
    name(
        "printMsgByQueue",
        &["message", "read", "--count=1000000"],
        &[
            T0,
            ("a|brokerName", Named("--of")),
            ("i|queueId", Named("--queue")),
            ("c|charsetName", Nothing),
            ("s|subExpression", Named("--tag")),
            ("b|beginTimestamp", Named("--begin")),
            ("e|endTimestamp", Named("--end")),
            ("p|print", Nothing),
            ("d|printBody", Nothing),
            ("f|calculate", Nothing),
        ],
    ),
    name("producer", &["connections", "producer"], &[B]),
    name(
        "producerConnection",
        &["connections", "producer"],
        &[("g|producerGroup", Argument(0)), ("t|topic", Nothing)],
    ),
    name(
        "queryCq",
        &["message", "entries"],
        &[
            T0,
            ("q|queue", Named("--queue")),
            ("i|index", Named("--offset")),
            ("c|count", Named("--count")),
            ("b|broker", Nothing),
            ("g|consumer", Nothing),
        ],
    ),
    name("queryMsgById", &["message", "get"], QUERY_BY_ID),
    name("queryMsgByUniqueKey", &["message", "get"], QUERY_BY_ID),
    name(
        "queryMsgByKey",
        &["message", "find"],
        &[
            T0,
            ("k|msgKey", Argument(1)),
            ("b|beginTimestamp", Named("--begin")),
            ("e|endTimestamp", Named("--end")),
            ("m|maxNum", Named("--max")),
            ("c|cluster", Nothing),
        ],
    ),
    name(
        "queryMsgByOffset",
        &["message", "read", "--count=1"],
        &[
            T0,
            ("b|brokerName", Named("--of")),
            ("i|queueId", Named("--queue")),
            ("o|offset", Named("--offset")),
            ("f|bodyFormat", Nothing),
        ],
    ),
    name(
        "queryMsgTraceById",
        &["message", "find"],
        &[
            ("t|traceTopic", Argument(0)),
            ("i|msgId", Argument(1)),
            ("b|beginTimestamp", Named("--begin")),
            ("e|endTimestamp", Named("--end")),
            ("c|maxNum", Named("--max")),
        ],
    ),
    name(
        "resetOffsetByTime",
        &["offset", "reset"],
        &[
            G0,
            T1,
            ("s|timestamp", Named("--to")),
            ("f|force", Nothing),
            ("c|cplus", Flag("")),
            ("b|broker", Named("--of")),
            ("q|queue", Named("--queue")),
            ("o|offset", Named("--offset")),
        ],
    ),
    name(
        "skipAccumulatedMessage",
        &["offset", "skip"],
        &[G0, T1, ("f|force", Nothing), ("c|cluster", Nothing)],
    ),
    name(
        "sendMessage",
        &["message", "send"],
        &[
            T0,
            ("p|body", Argument(1)),
            ("k|key|keys", Named("--key")),
            ("c|tags", Named("--tag")),
            ("b|broker", Named("--of")),
            ("i|qid", Named("--queue")),
            ("m|msgTraceEnable", Nothing),
        ],
    ),
    name(
        "setConsumeMode",
        &["group", "mode"],
        &[G0, T1, ("m|mode", Argument(2)), ("q|popShareQueueNum", Named("--shared")), B, C],
    ),
    name("startMonitoring", &["doctor"], &[]),
    name("statsAll", &["topic", "stats"], &[T0, ("a|activeTopic", Flag(""))]),
    name("topicClusterList", &["topic", "route"], &[T0]),
    name("topicList", &["topic", "list", "--all"], &[("c|clusterModel", Flag(""))]),
    name("topicRoute", &["topic", "route"], &[T0, ("l|list", Flag(""))]),
    name("topicStatus", &["topic", "status"], &[T0, ("c|cluster", Nothing)]),
    name(
        "updateBrokerConfig",
        &["broker", "set"],
        &[B, C, ("k|key", Argument(0)), ("v|value", Argument(1)), ("a|updateAllBroker", Nothing)],
    ),
    name("updateNamesrvConfig", &["namesrv", "set"], &[("k|key", Argument(0)), ("v|value", Argument(1))]),
    name(
        "updateOrderConf",
        &["topic", "order"],
        &[T0, ("m|method", Argument(1)), ("v|orderConf", Argument(2))],
    ),
    name(
        "updateSubGroup",
        &["group", "update"],
        &[
            G0,
            B,
            C,
            ("s|consumeEnable", Named("--consume")),
            ("m|consumeFromMinEnable", Named("--from-min")),
            ("d|consumeBroadcastEnable", Named("--broadcast")),
            ("o|consumeMessageOrderly", Named("--orderly")),
            ("q|retryQueueNums", Named("--retry-queues")),
            ("r|retryMaxTimes", Named("--retry-max")),
            ("i|brokerId", Named("--broker-id")),
            ("w|whichBrokerWhenConsumeSlowly", Named("--slow-broker-id")),
            ("a|notifyConsumerIdsChanged", Named("--notify")),
            ("attributes", Named("--attributes")),
        ],
    ),
    name("updateSubGroupList", &["group", "update-list"], &[("f|filename", Argument(0)), B, C]),
    name(
        "updateTopic",
        &["topic", "update"],
        &[
            T0,
            B,
            C,
            ("r|readQueueNums", Named("--read-queues")),
            ("w|writeQueueNums", Named("--write-queues")),
            ("p|perm", Named("--perm")),
            ("o|order", Named("--ordered")),
            ("u|unit", Named("--unit")),
            ("s|hasUnitSub", Named("--unit-subscribers")),
            ("a|attributes", Named("--attributes")),
        ],
    ),
    name("updateTopicList", &["topic", "update-list"], &[("f|filename", Argument(0)), B, C]),
    name("updateTopicPerm", &["topic", "update"], &[T0, B, C, ("p|perm", Named("--perm"))]),
    nothing("addBroker", NO_CONTAINER),
    nothing("removeBroker", NO_CONTAINER),
    nothing("checkMsgSendRT", MEASURE),
    nothing("clusterRT", MEASURE),
    nothing("sendMsgStatus", MEASURE),
    nothing("checkRocksdbCqWriteProgress", NO_ROCKSDB),
    nothing("exportMetadataInRocksDB", NO_ROCKSDB),
    nothing("exportPopRecord", NO_ROCKSDB),
    nothing("rocksDBConfigToJson", NO_ROCKSDB),
    nothing("cleanBrokerMetadata", NO_CONTROLLER),
    nothing("electMaster", NO_CONTROLLER),
    nothing("getBrokerEpoch", NO_CONTROLLER),
    nothing("getControllerConfig", NO_CONTROLLER),
    nothing("getControllerMetaData", NO_CONTROLLER),
    nothing("getSyncStateSet", NO_CONTROLLER),
    nothing("resetMasterFlushOffset", NO_CONTROLLER),
    nothing("updateControllerConfig", NO_CONTROLLER),
    nothing("copyAcl", NO_ACCESS),
    nothing("copyUser", NO_ACCESS),
    nothing("createAcl", NO_ACCESS),
    nothing("createUser", NO_ACCESS),
    nothing("deleteAcl", NO_ACCESS),
    nothing("deleteUser", NO_ACCESS),
    nothing("getAcl", NO_ACCESS),
    nothing("getUser", NO_ACCESS),
    nothing("listAcl", NO_ACCESS),
    nothing("listUser", NO_ACCESS),
    nothing("updateAcl", NO_ACCESS),
    nothing("updateUser", NO_ACCESS),
    nothing("dumpCompactionLog", "no topic is compacted here"),
    nothing("getColdDataFlowCtrInfo", NO_COLD),
    nothing("removeColdDataFlowCtrGroupConfig", NO_COLD),
    nothing("setCommitLogReadAheadMode", NO_COLD),
    nothing("updateColdDataFlowCtrGroupConfig", NO_COLD),
    nothing("remappingStaticTopic", NO_STATIC),
    nothing("updateStaticTopic", NO_STATIC),
];

const QUERY_BY_ID: &[(&str, Meaning)] = &[
    ("i|msgId", Argument(0)),
    ("t|topic", Named("--topic")),
    ("g|consumerGroup", Nothing),
    ("d|clientId", Nothing),
    ("a|showAll", Flag("")),
    ("s|sendMessage", Nothing),
    ("u|unitName", Nothing),
    ("f|bodyFormat", Nothing),
    ("c|cluster", Nothing),
];

/// Options of ours before a command that take a value.
const WITH_VALUE: &[&str] =
    &["-n", "--namesrv", "--output", "--timeout", "--access-key", "--tls-ca", "--log-level", "--log-format"];

/// Writes a command line anew that has one of RocketMQ's names; any other stays as it is.
///
/// # Errors
/// The reason that there is no such command here.
pub(crate) fn translate(args: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let Some(texts) = args.iter().map(|arg| arg.to_str()).collect::<Option<Vec<_>>>() else {
        return Ok(args);
    };
    let Some(admin) = texts.iter().position(|text| *text == "admin").filter(|at| *at == 1) else {
        return Ok(args);
    };
    let mut at = admin + 1;
    while let Some(text) = texts.get(at).filter(|text| text.starts_with('-')) {
        at += if WITH_VALUE.contains(text) { 2 } else { 1 };
    }
    let Some(known) = texts.get(at).and_then(|text| NAMES.iter().find(|name| name.theirs == *text)) else {
        return Ok(args);
    };
    let ours = known.ours.map_err(|why| format!("{} has no counterpart: {why}", known.theirs))?;
    let mut fresh: Vec<String> = texts[..at].iter().map(|text| (*text).to_owned()).collect();
    fresh.extend(ours.iter().map(|word| (*word).to_owned()));
    fresh.extend(known.rewrite(&texts[at + 1..]));
    Ok(fresh.into_iter().map(OsString::from).collect())
}

impl Name {
    fn rewrite(&self, args: &[&str]) -> Vec<String> {
        let mut options = Vec::new();
        let mut arguments: Vec<(usize, String)> = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (word, mut value) = match arg.split_once('=').filter(|_| arg.starts_with("--")) {
                Some((word, value)) => (word, Some(value)),
                None => (*arg, None),
            };
            let bare = word.trim_start_matches('-');
            let meaning = self
                .options
                .iter()
                .find(|(names, _)| word.starts_with('-') && names.split('|').any(|name| name == bare));
            let Some((_, meaning)) = meaning else {
                options.push((*arg).to_owned());
                continue;
            };
            if !matches!(meaning, Flag(_)) && value.is_none() {
                value = args.next().copied();
            }
            let value = value.unwrap_or_default().trim();
            match *meaning {
                Named(ours) => options.push(format!("{ours}={value}")),
                Argument(place) => arguments.push((place, value.to_owned())),
                Flag(ours) => options.extend((!ours.is_empty()).then(|| ours.to_owned())),
                Switch(ours) => {
                    options.extend((value == "true" && !ours.is_empty()).then(|| ours.to_owned()));
                }
                Nothing => {}
            }
        }
        self.settle(&mut options, &mut arguments);
        arguments.sort();
        if !arguments.is_empty() {
            options.push("--".to_owned());
            options.extend(arguments.into_iter().map(|(_, value)| value));
        }
        options
    }

    /// What one option there and several here say together.
    fn settle(&self, options: &mut Vec<String>, arguments: &mut Vec<(usize, String)>) {
        let take = |options: &mut Vec<String>, name: &str| {
            let at = options.iter().position(|option| option.starts_with(&format!("{name}=")))?;
            Some(options.remove(at)[name.len() + 1..].to_owned())
        };
        // A queue is a broker's.
        if options.iter().any(|option| option.starts_with("--of=")) {
            match take(options, "--queue") {
                Some(queue) => {
                    let broker = take(options, "--of").unwrap_or_default();
                    options.push(format!("--queue={broker}:{queue}"));
                }
                None if self.theirs == "resetOffsetByTime" || self.theirs == "sendMessage" => {
                    take(options, "--of");
                }
                None => {}
            }
        }
        match self.theirs {
            // The offset counts there if both are given, as the tool requires.
            "resetOffsetByTime" if options.iter().any(|option| option.starts_with("--offset=")) => {
                take(options, "--to");
            }
            "updateBrokerConfig" | "updateNamesrvConfig" => {
                arguments.sort();
                let text = arguments.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("=");
                *arguments = vec![(0, text)];
            }
            "queryMsgTraceById" if arguments.iter().all(|(place, _)| *place != 0) => {
                arguments.push((0, ferromq_model::name::TRACE_TOPIC.to_owned()));
            }
            // It subscribes to all there, too.
            "printMsg" | "printMsgByQueue" => {
                if let Some(tag) = take(options, "--tag").filter(|tag| tag != "*") {
                    options.push(format!("--tag={tag}"));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Result<String, String> {
        let args = line.split(' ').map(OsString::from).collect();
        let words: Vec<_> =
            translate(args)?.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn options_of_mqadmin_become_ours() {
        for (theirs, ours) in [
            (
                "updateTopic -n a:1 -c C -t T -r 4 -o true",
                "topic update -n a:1 --cluster=C --read-queues=4 --ordered=true -- T",
            ),
            ("--output json topicList", "--output json topic list --all"),
            ("topicStatus --topic=T --output json", "topic status --output json -- T"),
            ("resetOffsetByTime -g G -t T -s now -f true", "offset reset --to=now -- G T"),
            ("resetOffsetByTime -g G -t T -s 0 -b b -q 1 -o 2", "offset reset --offset=2 --queue=b:1 -- G T"),
            ("updateBrokerConfig -b x:1 -k key -v value", "broker set --broker=x:1 -- key=value"),
            ("updateTopic -t T -a -message.type", "topic update --attributes=-message.type -- T"),
            ("queryMsgByOffset -t T -b b -i 1 -o 0", "message read --count=1 --offset=0 --queue=b:1 -- T"),
            ("consumerStatus -g G -s", "group running --stack -- G"),
            ("topic list", "topic list"),
            ("updateTopic --help", "topic update --help"),
        ] {
            let line = translated(&format!("ferromq admin {theirs}"));
            assert_eq!(line, Ok(format!("ferromq admin {ours}")), "{theirs}");
        }
        assert!(translated("ferromq admin electMaster -a x").is_err());
        assert_eq!(translated("ferromq bench updateTopic"), Ok("ferromq bench updateTopic".into()));
    }

    #[test]
    fn every_name_stands_for_a_command_with_its_options() {
        for name in NAMES {
            let Ok(ours) = name.ours else { continue };
            let mut command = crate::command();
            let mut at = command.find_subcommand_mut("admin").expect("there is admin");
            for word in ours.iter().filter(|word| !word.starts_with("--")) {
                at = at.find_subcommand_mut(word).unwrap_or_else(|| panic!("{}: no {word}", name.theirs));
            }
            let known: Vec<_> = at.get_arguments().filter_map(|arg| arg.get_long()).collect();
            let places = at.get_positionals().count();
            for (option, meaning) in name.options {
                match meaning {
                    Named("--of") => {}
                    Named(ours) | Flag(ours) | Switch(ours) if !ours.is_empty() => {
                        assert!(known.contains(&&ours[2..]), "{} {option}: no {ours}", name.theirs);
                    }
                    Argument(place) if !name.theirs.ends_with("Config") => {
                        assert!(*place < places, "{} {option}: no place {place}", name.theirs);
                    }
                    _ => {}
                }
            }
        }
    }
}
