//! The effective configuration: from which sources, in which order, and where each value came from.
//!
//! Always true:
//! * a later source wins: defaults, the environment, the file of `-c`, `-n` and `--store`, `--set`;
//! * a key without effect is a warning, a value that cannot be used stops the start; all of them are told at once;
//! * what [`Effective::print`] writes can be given to `-c` again.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use ferromq_broker::config::BrokerConfig;
use ferromq_gateway::config::{
    BrokerAddressConfig, ClientAuth, HttpConfig, ListenConfig, MqttConfig, NamesrvAddressConfig, TlsConfig,
};
use ferromq_gateway::otlp::config::OtlpConfig;
use ferromq_model::ByteSize;
use ferromq_model::config::{Key, SetError, Settings, properties};
use ferromq_namesrv::config::NamesrvConfig;
use ferromq_store::config::StoreConfig;

use crate::address::{self, Advertised};
use crate::plan::{BrokerPlan, NamesrvPlan, Plan};
use crate::{foreign, suggest};

/// What a process is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// NameServer and broker in one.
    Standalone,
    /// A NameServer.
    Namesrv,
    /// A broker.
    Broker,
}

impl Role {
    /// How it is started.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Standalone => "ferromq standalone",
            Self::Namesrv => "ferromq namesrv",
            Self::Broker => "ferromq broker",
        }
    }

    const fn has(self, part: Part) -> bool {
        match part {
            Part::Both => true,
            Part::Namesrv => !matches!(self, Self::Broker),
            Part::Broker => !matches!(self, Self::Namesrv),
        }
    }
}

/// Who a table of settings is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Both,
    Namesrv,
    Broker,
}

/// All settings of the binary: the rooms' own tables, side by side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    listen: ListenConfig,
    namesrv_address: NamesrvAddressConfig,
    broker_address: BrokerAddressConfig,
    tls: TlsConfig,
    http: HttpConfig,
    mqtt: MqttConfig,
    broker: BrokerConfig,
    store: StoreConfig,
    namesrv: NamesrvConfig,
    otlp: OtlpConfig,
}

/// One table of settings, with its heading.
pub(crate) struct Room<'a> {
    pub(crate) title: &'static str,
    pub(crate) part: Part,
    pub(crate) settings: &'a mut dyn Settings,
}

impl Config {
    /// All tables in the order in which people are shown them.
    pub(crate) fn rooms(&mut self) -> [Room<'_>; 10] {
        let room = |title, part, settings| Room { title, part, settings };
        [
            room("Broker: addresses", Part::Broker, &mut self.broker_address as &mut dyn Settings),
            room("NameServer: addresses", Part::Namesrv, &mut self.namesrv_address),
            room("Listeners", Part::Both, &mut self.listen),
            room("TLS", Part::Broker, &mut self.tls),
            room("HTTP", Part::Broker, &mut self.http),
            room("MQTT", Part::Broker, &mut self.mqtt),
            room("Broker", Part::Broker, &mut self.broker),
            room("Store", Part::Broker, &mut self.store),
            room("NameServer", Part::Namesrv, &mut self.namesrv),
            room("OpenTelemetry", Part::Broker, &mut self.otlp),
        ]
    }

    fn rooms_of(&mut self, role: Role) -> impl Iterator<Item = Room<'_>> {
        self.rooms().into_iter().filter(move |room| role.has(room.part))
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said anything.
    Default,
    /// A variable of the environment.
    Environment(&'static str),
    /// A line of the configuration file.
    File { path: PathBuf, line: usize },
    /// An option of the command line.
    Option(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Option(option) => f.write_str(option),
        }
    }
}

/// What to make the configuration from, besides the defaults.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) role: Role,
    /// `NAMESRV_ADDR`, which RocketMQ's clients and brokers share.
    pub(crate) environment: Option<String>,
    /// `-c`.
    pub(crate) file: Option<PathBuf>,
    /// `-n`.
    pub(crate) namesrvs: Option<String>,
    /// `--store`.
    pub(crate) store: Option<PathBuf>,
    /// `--set`, in the order given.
    pub(crate) assignments: Vec<(String, String)>,
}

/// Why the process cannot start. All of it is the operator's to solve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("cannot read {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}:{}: {source}", path.display(), source.line)]
    Syntax { path: PathBuf, source: properties::BadEscape },
    #[error("{origin}: {key}: {reason}")]
    Value { origin: Origin, key: String, reason: String },
}

/// The configuration in effect, and how it came about.
#[derive(Debug)]
pub(crate) struct Effective {
    role: Role,
    config: Config,
    advertised: Option<Advertised>,
    origins: BTreeMap<&'static str, Origin>,
    warnings: Vec<String>,
}

impl Effective {
    /// Asks all sources.
    ///
    /// # Errors
    /// Every [`Problem`] that was found, at least one.
    pub(crate) fn load(sources: &Sources) -> Result<Self, Vec<Problem>> {
        let mut loading = Loading {
            effective: Self {
                role: sources.role,
                config: Config::default(),
                advertised: None,
                origins: BTreeMap::new(),
                warnings: Vec::new(),
            },
            problems: Vec::new(),
        };
        if let Some(servers) = &sources.environment
            && sources.role == Role::Broker
        {
            loading.set("namesrvAddr", servers, Origin::Environment("NAMESRV_ADDR"));
        }
        if let Some(path) = &sources.file {
            loading.read(path);
        }
        if let Some(servers) = &sources.namesrvs {
            loading.set("namesrvAddr", servers, Origin::Option("-n"));
        }
        if let Some(root) = &sources.store {
            // Not through its text: a path need not be valid Unicode.
            loading.effective.config.store.root.clone_from(root);
            loading.effective.origins.insert("storePathRootDir", Origin::Option("--store"));
        }
        for (key, value) in &sources.assignments {
            loading.set(key, value, Origin::Option("--set"));
        }
        loading.complete();
        if loading.problems.is_empty() { Ok(loading.effective) } else { Err(loading.problems) }
    }

    /// What the operator should know before anything goes wrong.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The configuration in the format of `-c`, each value under a comment that says where it came from.
    pub(crate) fn print(&mut self) -> String {
        let mut text = format!("# {}\n", self.role.command());
        for room in self.config.rooms_of(self.role) {
            let mut above = None;
            let _ = write!(text, "\n# {}\n", room.title);
            for key in room.settings.keys() {
                let origin = self.origins.get(key.name).unwrap_or(&Origin::Default);
                if above != Some(origin) {
                    let _ = writeln!(text, "# from: {origin}");
                    above = Some(origin);
                }
                let value = room.settings.show(key.name).unwrap_or_default();
                let _ = writeln!(text, "{}={}", key.name, properties::escape(&value));
            }
        }
        if let Some(Advertised { address, .. }) = &self.advertised {
            let _ = write!(text, "\n# Clients are told to reach the broker at {address}.\n");
        }
        text
    }

    /// What to serve.
    pub(crate) fn plan(self) -> Plan {
        let Config { listen, namesrv_address, broker_address, tls, http, mqtt, broker, store, namesrv, otlp } =
            self.config;
        Plan {
            listen,
            namesrv: self
                .role
                .has(Part::Namesrv)
                .then_some(NamesrvPlan { address: namesrv_address, engine: namesrv }),
            broker: self.advertised.map(|Advertised { address: advertised, .. }| BrokerPlan {
                address: broker_address,
                advertised,
                tls,
                http,
                mqtt,
                engine: broker,
                store,
                otlp,
            }),
        }
    }
}

/// A configuration that is being put together.
struct Loading {
    effective: Effective,
    problems: Vec<Problem>,
}

impl Loading {
    fn read(&mut self, path: &Path) {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(source) => return self.problems.push(Problem::File { path: path.to_owned(), source }),
        };
        match properties::parse(&bytes) {
            Ok(entries) => {
                for properties::Entry { line, key, value } in entries {
                    self.set(&key, &value, Origin::File { path: path.to_owned(), line });
                }
            }
            Err(source) => self.problems.push(Problem::Syntax { path: path.to_owned(), source }),
        }
    }

    fn set(&mut self, key: &str, value: &str, origin: Origin) {
        let role = self.effective.role;
        // In RocketMQ, NameServer and broker never share a file, so both call their port by the same name.
        let key = if role == Role::Namesrv && key == "listenPort" { "namesrvListenPort" } else { key };
        let mut elsewhere = false;
        for room in self.effective.config.rooms() {
            let Some(Key { name, .. }) = room.settings.keys().iter().find(|known| known.name == key) else {
                continue;
            };
            if !role.has(room.part) {
                elsewhere = true;
                continue;
            }
            match room.settings.set(name, value) {
                Ok(()) => drop(self.effective.origins.insert(name, origin)),
                Err(error) => self.problems.push(bad_value(origin, name, &error)),
            }
            return;
        }
        let warning = if elsewhere {
            format!("{origin}: {key} has no effect on {}", role.command())
        } else if foreign::is_foreign(key) {
            format!("{origin}: {key} is known to RocketMQ, but not honoured by FerroMQ")
        } else {
            let known = self.effective.config.rooms_of(role).flat_map(|room| room.settings.keys());
            let meant = suggest::nearest(key, known.map(|key| key.name));
            let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            format!("{origin}: {key} is unknown and has no effect{hint}")
        };
        self.effective.warnings.push(warning);
    }

    /// Fills in what depends on other values, and checks what a single value cannot show.
    fn complete(&mut self) {
        let Effective { role, config, origins, warnings, advertised } = &mut self.effective;
        let origin = |key: &str| origins.get(key).cloned().unwrap_or(Origin::Default);
        let mut problem = |key: &str, origin, reason| {
            self.problems.push(Problem::Value { origin, key: key.to_owned(), reason });
        };

        if *role == Role::Standalone {
            if origin("storePathRootDir") == Origin::Default {
                config.store.root = PathBuf::from("ferromq-data");
            }
            if origin("kvConfigPath") == Origin::Default {
                config.namesrv.kv_path = config.store.root.join("namesrv").join("kvConfig.json");
            }
        }
        if !role.has(Part::Broker) {
            return;
        }
        if *role == Role::Broker && config.broker_address.namesrvs.addresses().is_empty() {
            warnings.push(
                "no NameServer to register with, so that clients will not find this broker; name one by -n, \
                 namesrvAddr, or the environment's NAMESRV_ADDR"
                    .to_owned(),
            );
        }
        let (idle, period) = (config.listen.max_idle.millis(), config.broker_address.register_period);
        if role.has(Part::Namesrv) && idle <= period {
            warnings.push(format!(
                "serverChannelMaxIdleTimeSeconds {idle} is not above registerNameServerPeriod {period}: the \
                 NameServer closes the broker's connection between two registrations, and clients lose its routes \
                 for a while each time"
            ));
        }
        if config.store.commit_log_dir.as_ref().is_some_and(|dir| dir.to_string_lossy().contains(',')) {
            let reason = "several directories are not supported; allowed: one directory".to_owned();
            problem("storePathCommitLog", origin("storePathCommitLog"), reason);
        }
        let (body, frame) = (config.store.max_message_size, config.listen.max_frame_size);
        let envelope = ByteSize(config.listen.max_header_size.0 + FRAME_PREFIX);
        if body.0 + envelope.0 > frame.0 {
            let reason = format!(
                "a body of {body} and its header of up to {envelope} do not fit into maxFrameSize {frame}"
            );
            problem("maxMessageSize", origin("maxMessageSize"), reason);
        }
        let (http, mqtt, has_tls) = (&config.http, &config.mqtt, config.tls.certificate.is_some());
        // Who has no certificate does not get as far as to be asked.
        let certified =
            mqtt.port == 0 && config.tls.client_auth == ClientAuth::Require || mqtt.certificate_user;
        let front_ends = [
            (
                "http",
                http.bind_address,
                [http.port, http.tls_port],
                http.credentials.is_some(),
                http.allow_anonymous,
            ),
            (
                "mqtt",
                mqtt.bind_address,
                [mqtt.port, mqtt.tls_port],
                mqtt.credentials.is_some() || has_tls && certified,
                mqtt.allow_anonymous,
            ),
        ];
        for (name, address, [port, tls_port], asks, may_be_anyone) in front_ends {
            let is_served = port > 0 || has_tls && tls_port > 0;
            if is_served && !address.is_loopback() && !asks && !may_be_anyone {
                let reason = format!(
                    "others than this machine reach {address}, and nobody would be asked who they are; set \
                     {name}CredentialsFile, or {name}AllowAnonymous=true if that is what you want, or {name}Port=0"
                );
                let key = format!("{name}BindAddress");
                problem(&key, origin(&key), reason);
            }
        }
        let told = config.broker_address.advertised;
        match address::advertised(config.listen.bind_address, told, address::local) {
            Ok(found) => {
                warnings.extend(found.warning.clone());
                *advertised = Some(found);
            }
            Err(error) => problem("brokerIP1", origin("brokerIP1"), error.to_string()),
        }
    }
}

/// The length fields that come before a frame's header.
const FRAME_PREFIX: u64 = 8;

fn bad_value(origin: Origin, key: &str, error: &SetError) -> Problem {
    Problem::Value { origin, key: key.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(role: Role) -> Sources {
        Sources { role, environment: None, file: None, namesrvs: None, store: None, assignments: Vec::new() }
    }

    fn with(role: Role, assignments: &[(&str, &str)]) -> Sources {
        let assignments = assignments.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Sources { assignments: assignments.collect(), ..sources(role) }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::with_suffix(".conf").expect("a temporary file");
        std::fs::write(file.path(), text).expect("it can be written");
        file
    }

    fn problems(sources: &Sources) -> Vec<String> {
        Effective::load(sources).expect_err("a problem").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_key_is_declared_twice_or_listed_as_not_honoured() {
        let mut config = Config::default();
        let mut names: Vec<_> =
            config.rooms().iter().flat_map(|room| room.settings.keys()).map(|key| key.name).collect();
        for name in &names {
            assert!(!foreign::is_foreign(name), "{name} is honoured: take it from foreign.rs");
        }
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_default_can_be_read_back_within_its_bounds() {
        let mut config = Config::default();
        for room in config.rooms() {
            for key in room.settings.keys() {
                let shown = room.settings.show(key.name).expect("a key of the table");
                assert_eq!(room.settings.set(key.name, &shown), Ok(()), "{}", key.name);
            }
        }
    }

    #[test]
    fn a_later_source_wins_and_is_named() {
        let file = file("listenPort=20911\nbrokerName=from-file\nnamesrvAddr=file:9876\n");
        let mut effective = Effective::load(&Sources {
            environment: Some("env:9876".to_owned()),
            file: Some(file.path().to_owned()),
            namesrvs: Some("option:9876".to_owned()),
            store: Some(PathBuf::from("data")),
            ..with(Role::Broker, &[("brokerName", "from-set")])
        })
        .expect("no problem");
        let printed = effective.print();
        let path = file.path().display();
        for lines in [
            format!("# from: {path}:1\nlistenPort=20911\n# from: default\nhaListenPort=10912\n"),
            "# from: -n\nnamesrvAddr=option:9876\n".to_owned(),
            "# from: --set\nbrokerName=from-set\n".to_owned(),
            "# from: --store\nstorePathRootDir=data\n".to_owned(),
        ] {
            assert!(printed.contains(&lines), "{lines} in {printed}");
        }
        let broker = effective.plan().broker.expect("a broker");
        assert_eq!((broker.address.port, broker.engine.name.as_str()), (20911, "from-set"));
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        for role in [Role::Standalone, Role::Namesrv, Role::Broker] {
            let printed = Effective::load(&sources(role)).expect("no problem").print();
            let file = file(&printed);
            let again = Sources { file: Some(file.path().to_owned()), ..sources(role) };
            let again = Effective::load(&again).expect("no problem").print();
            let values = |text: &str| {
                text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(values(&again), values(&printed));
        }
    }

    #[test]
    fn a_bad_value_is_told_with_file_line_key_and_bounds_and_all_at_once() {
        let file = file("# sizes\nmappedFileSizeCommitLog=1k\nflushDiskType=SYNC\n");
        let path = file.path().display();
        assert_eq!(
            problems(&Sources {
                file: Some(file.path().to_owned()),
                ..with(Role::Broker, &[("listenPort", "many")])
            }),
            [
                format!(
                    "{path}:2: mappedFileSizeCommitLog: 1 KiB is out of bounds; allowed: 64 KiB to 2047 MiB"
                ),
                format!(
                    "{path}:3: flushDiskType: \"SYNC\" is none of the words; allowed: SYNC_FLUSH or ASYNC_FLUSH"
                ),
                "--set: listenPort: \"many\" is not a whole number; allowed: 3 to 65535".to_owned(),
            ]
        );
    }

    #[test]
    fn values_that_contradict_each_other_stop_the_start() {
        assert_eq!(
            problems(&with(Role::Broker, &[("maxMessageSize", "20m"), ("brokerIP1", "0.0.0.0")])),
            [
                "--set: maxMessageSize: a body of 20 MiB and its header of up to 65544 B do not fit into \
                 maxFrameSize 16 MiB",
                "--set: brokerIP1: 0.0.0.0 stands for all addresses and is none that a client can reach; set \
                 brokerIP1 to one that it can",
            ]
        );
    }

    #[test]
    fn http_that_others_reach_asks_who_they_are_or_says_that_it_does_not() {
        let open = ("httpBindAddress", "0.0.0.0");
        let [problem] = &problems(&with(Role::Standalone, &[open]))[..] else { panic!("one problem") };
        assert!(
            problem.starts_with("--set: httpBindAddress: ") && problem.contains("httpCredentialsFile"),
            "{problem}"
        );
        for enough in [("httpCredentialsFile", "/etc/who"), ("httpAllowAnonymous", "true"), ("httpPort", "0")]
        {
            assert!(Effective::load(&with(Role::Standalone, &[open, enough])).is_ok(), "{enough:?}");
        }
    }

    #[test]
    fn a_key_without_effect_is_a_warning_that_says_why() {
        let warnings = |role, key| {
            Effective::load(&with(role, &[(key, "1"), ("namesrvAddr", "a:1")]))
                .expect("no problem")
                .warnings()
                .first()
                .cloned()
                .unwrap_or_default()
        };
        assert_eq!(
            warnings(Role::Broker, "mapedFileSizeCommitLog"),
            "--set: mapedFileSizeCommitLog is unknown and has no effect; did you mean mappedFileSizeCommitLog?"
        );
        assert_eq!(
            warnings(Role::Broker, "transferMsgByHeap"),
            "--set: transferMsgByHeap is known to RocketMQ, but not honoured by FerroMQ"
        );
        assert_eq!(
            warnings(Role::Broker, "kvConfigPath"),
            "--set: kvConfigPath has no effect on ferromq broker"
        );
        assert_eq!(warnings(Role::Broker, "colour"), "--set: colour is unknown and has no effect");
    }

    #[test]
    fn a_broker_that_its_own_nameserver_would_take_for_dead_is_a_warning() {
        let warnings = |role, idle: &str, period: &str| {
            let keys = [("serverChannelMaxIdleTimeSeconds", idle), ("registerNameServerPeriod", period)];
            let keys = [&keys[..], &[("namesrvAddr", "a:1")]].concat();
            let effective = Effective::load(&with(role, &keys)).expect("no problem");
            let of_it = |warning: &&String| warning.starts_with("serverChannelMaxIdleTimeSeconds");
            effective.warnings().iter().filter(of_it).cloned().collect::<Vec<_>>()
        };
        let [warning] = &warnings(Role::Standalone, "30", "30000")[..] else { panic!() };
        assert!(warning.contains("30000 ms is not above registerNameServerPeriod 30000 ms"), "{warning}");
        assert!(warnings(Role::Standalone, "31", "30000").is_empty());
        assert!(warnings(Role::Broker, "5", "30000").is_empty(), "its NameServers have limits of their own");
    }

    #[test]
    fn a_nameserver_alone_knows_its_port_by_rocketmqs_name() {
        let plan =
            Effective::load(&with(Role::Namesrv, &[("listenPort", "19876")])).expect("no problem").plan();
        assert_eq!(plan.namesrv.expect("a NameServer").address.port, 19876);
        assert!(plan.broker.is_none());
    }

    #[test]
    fn standalone_keeps_everything_under_its_store() {
        let plan = Effective::load(&Sources { store: Some("here".into()), ..sources(Role::Standalone) })
            .expect("no problem")
            .plan();
        assert_eq!(
            plan.namesrv.expect("a NameServer").engine.kv_path,
            Path::new("here/namesrv/kvConfig.json")
        );
        let plan = Effective::load(&sources(Role::Standalone)).expect("no problem").plan();
        assert_eq!(plan.broker.expect("a broker").store.root, Path::new("ferromq-data"));
    }
}
