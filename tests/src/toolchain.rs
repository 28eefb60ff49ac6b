//! Everything the tests need that is not a crate: the binary under test, the official jars, the built client programs.
//!
//! Jars and built programs are kept in [`cache`], each in a directory that is renamed into place once it is complete,
//! under a lock file: several test processes may start at the same time, and a run that is cut off leaves no half.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::process::{run, tail};

/// What the official servers, and the oldest of the clients, need to run on a JVM of 17 or later.
pub const JVM_OPENS: [&str; 6] = [
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
];

/// A download over a slow line, or a build on a busy machine.
const LIMIT: Duration = Duration::from_secs(540);
/// Registries fail now and then.
const DOWNLOAD_TRIES: u32 = 3;

/// Where downloads and builds are kept between runs: `FERROMQ_TEST_CACHE`, by default `~/.cache/ferromq-tests`.
pub fn cache() -> PathBuf {
    match env::var_os("FERROMQ_TEST_CACHE") {
        Some(dir) => dir.into(),
        None => PathBuf::from(env::var_os("HOME").expect("HOME or FERROMQ_TEST_CACHE is set"))
            .join(".cache/ferromq-tests"),
    }
}

/// The `ferromq` binary: `FERROMQ_BIN`, or the release build of this checkout, brought up to date once per process.
///
/// # Panics
/// When it cannot be built.
pub fn ferromq() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| {
        if let Some(bin) = env::var_os("FERROMQ_BIN") {
            return bin.into();
        }
        let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--release", "-p", "ferromq", "--bin", "ferromq", "--message-format=json"])
            .current_dir(workspace())
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "`cargo build --release -p ferromq` failed");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["target"]["name"] == "ferromq")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .expect("cargo names the executable that it built")
    })
}

/// The `java` launcher.
///
/// # Panics
/// When there is none.
pub fn java() -> &'static str {
    need("java", "-version", "a JDK, 17 or later (Debian: apt-get install openjdk-17-jdk-headless)");
    "java"
}

/// The jars that `tests/interop/PROJECT/pom.xml` names at this RocketMQ version, in one directory.
///
/// # Panics
/// When they are not in the cache and cannot be downloaded.
pub fn maven_jars(project: &str, version: &str) -> PathBuf {
    jars(project, version, &[format!("-Drocketmq.version={version}")])
}

/// The jars that `tests/interop/PROJECT/pom.xml` names at versions of its own, in one directory.
///
/// # Panics
/// When they are not in the cache and cannot be downloaded.
pub fn pinned_jars(project: &str) -> PathBuf {
    jars(project, "jars", &[])
}

fn jars(project: &str, version: &str, arguments: &[String]) -> PathBuf {
    let pom = interop().join(project).join("pom.xml");
    let name = format!("{project}-{version}-{}", digest(std::slice::from_ref(&pom)));
    provide(&name, |into| {
        need("mvn", "--version", "Maven, 3.8 or later (Debian: apt-get install maven)");
        let what = format!("Maven cannot provide the jars of {}", pom.display());
        fetched("mvn", &name, &what, |command| {
            command
                .args(["-q", "-B", "-f"])
                .arg(&pom)
                .args(arguments)
                .arg(format!("-DoutputDirectory={}", into.display()))
                .arg("dependency:copy-dependencies")
        });
    })
}

/// The class path of the Java scenarios compiled against this version of the official client.
///
/// # Panics
/// When they cannot be compiled.
pub fn java_client(version: &str) -> String {
    let jars = maven_jars("java", version);
    let mut sources = sources(&interop().join("java/src"), "java");
    if version.starts_with("5.") {
        sources.extend(self::sources(&interop().join("java/src5"), "java"));
    }
    compiled(&format!("java-{version}"), &sources, &jars)
}

/// The class path of the program that runs the official admin tool's subcommands, compiled against this version of it.
///
/// # Panics
/// When it cannot be compiled.
pub fn mqadmin_driver(version: &str) -> String {
    let jars = maven_jars("servers", version);
    compiled(&format!("mqadmin-{version}"), &sources(&interop().join("mqadmin/src"), "java"), &jars)
}

/// The program of the Go scenarios.
///
/// # Panics
/// When it cannot be built.
pub fn go_client() -> PathBuf {
    go_program("go")
}

/// The program of the module `tests/interop/PROJECT`.
///
/// # Panics
/// When it cannot be built.
pub fn go_program(project: &str) -> PathBuf {
    let module = interop().join(project);
    let mut parts = sources(&module, "go");
    parts.extend([module.join("go.mod"), module.join("go.sum")]);
    let name = format!("{project}-{}", digest(&parts));
    provide(&name, |into| {
        need("go", "version", "Go, 1.24 or later (https://go.dev/dl)");
        let what = format!("the Go program of {} cannot be built", module.display());
        fetched("go", &name, &what, |command| {
            command.args(["build", "-o"]).arg(into.join("interop")).arg(".").current_dir(&module)
        });
    })
    .join("interop")
}

/// A Python that finds the packages of `tests/interop/PROJECT/requirements.txt`.
///
/// # Panics
/// When they are not in the cache and cannot be downloaded.
pub fn python(project: &str) -> Command {
    let requirements = interop().join(project).join("requirements.txt");
    let name = format!("python-{project}-{}", digest(std::slice::from_ref(&requirements)));
    let packages = provide(&name, |into| {
        need("python3", "--version", "Python, 3.9 or later, with pip");
        let what = format!("pip cannot provide the packages of {}", requirements.display());
        fetched("python3", &name, &what, |command| {
            command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
            command.arg(into).arg("-r").arg(&requirements)
        });
    });
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages);
    command
}

/// The directory of the programs of `tests/interop/node`, with the npm packages that they use.
///
/// # Panics
/// When they cannot be installed.
pub fn node_clients() -> PathBuf {
    let from = interop().join("node");
    let files = ["package.json", "package-lock.json", ".npmrc", "streams.js", "mqtt.js", "browser.js"]
        .map(|file| from.join(file));
    let name = format!("node-{}", digest(&files));
    provide(&name, |into| {
        need("npm", "--version", "Node.js, 20.19 or later (https://nodejs.org)");
        for file in &files {
            let copy = into.join(file.file_name().expect("it is a file"));
            fs::copy(file, copy).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        }
        npm_packages(&name, into);
    })
}

/// The `mosquitto` server.
///
/// # Panics
/// When it is not installed.
pub fn mosquitto() -> PathBuf {
    // It is no command of users: Debian keeps it where the PATH of many does not lead.
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs = env::split_paths(&path).chain(["/usr/sbin".into()]);
    dirs.find_map(|dir| Some(dir.join("mosquitto")).filter(|program| program.is_file())).unwrap_or_else(
        || panic!("the MQTT tests need `mosquitto`: Debian has it as apt-get install mosquitto"),
    )
}

/// A Chromium that tests can drive.
///
/// # Panics
/// When there is none.
pub fn chromium() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found =
        env::split_paths(&path).flat_map(|dir| ["chromium", "chromium-browser"].map(|name| dir.join(name)));
    found.find(|program| program.is_file()).unwrap_or_else(|| {
        panic!("the dashboard's tests need `chromium` on the PATH: Debian has it as apt-get install chromium")
    })
}

/// The dashboard's sources, with the packages that its tests need installed beside them.
///
/// # Panics
/// When they cannot be installed.
pub fn dashboard() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = workspace().join("dashboard");
        need("npm", "--version", "Node.js, 20.19 or later (https://nodejs.org)");
        // What npm leaves behind when it is done.
        let installed =
            fs::metadata(dir.join("node_modules/.package-lock.json")).and_then(|meta| meta.modified());
        let wanted = fs::metadata(dir.join("package-lock.json")).and_then(|meta| meta.modified());
        if installed.is_ok_and(|installed| wanted.is_ok_and(|wanted| wanted <= installed)) {
            return dir;
        }
        fs::create_dir_all(cache()).unwrap_or_else(|e| panic!("the cache {}: {e}", cache().display()));
        npm_packages("dashboard-npm", &dir);
        dir
    })
}

/// The class path of Java sources, compiled, and the jars that they need.
fn compiled(program: &str, sources: &[PathBuf], jars: &Path) -> String {
    let name = format!("{program}-classes-{}", digest(sources));
    let classes = provide(&name, |into| {
        need("javac", "-version", "a JDK, 17 or later (Debian: apt-get install openjdk-17-jdk-headless)");
        let mut command = Command::new("javac");
        command.args(["-nowarn", "-encoding", "UTF-8", "-d"]).arg(into);
        command.arg("-cp").arg(format!("{}/*", jars.display())).args(sources);
        let log = cache().join(format!("{name}.log"));
        let status = run("javac", command, &log, LIMIT);
        assert!(status.success(), "{program} does not compile:\n{}", tail(&log, 60));
    });
    format!("{}:{}/*", classes.display(), jars.display())
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is in the workspace").to_owned()
}

fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

/// Fails with what to install when a tool cannot be run.
fn need(tool: &str, version_flag: &str, install: &str) {
    let found = Command::new(tool).arg(version_flag).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(
        found.is_ok_and(|status| status.success()),
        "the interop tests need `{tool}` on the PATH: install {install}"
    );
}

/// Installs what a directory's `package-lock.json` names.
fn npm_packages(name: &str, dir: &Path) {
    let what = format!("the npm packages of {} cannot be installed", dir.display());
    fetched("npm", name, &what, |command| command.args(["ci", "--prefer-offline"]).current_dir(dir));
}

/// Runs a program that fetches from a registry until it has succeeded, a few times at most; its output is `name.log` in the
/// cache.
fn fetched(program: &str, name: &str, failure: &str, arguments: impl Fn(&mut Command) -> &mut Command) {
    let log = cache().join(format!("{name}.log"));
    for attempt in 1.. {
        let mut command = Command::new(program);
        arguments(&mut command);
        if run(program, command, &log, LIMIT).success() {
            return;
        }
        assert!(attempt < DOWNLOAD_TRIES, "{failure}:\n{}", tail(&log, 60));
    }
}

/// The directory of that name in the cache, filled by `fill` if it is not there yet.
fn provide(name: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    let cache = cache();
    fs::create_dir_all(&cache).unwrap_or_else(|e| panic!("the cache {}: {e}", cache.display()));
    let done = cache.join(name);
    let lock = File::create(cache.join(format!("{name}.lock"))).expect("a lock file in the cache");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock file can be locked");
    if !done.exists() {
        let partial = cache.join(format!("{name}.partial"));
        // Left over from a run that was cut off, if it is there: we hold the lock.
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).expect("a directory in the cache");
        fill(&partial);
        fs::rename(&partial, &done).expect("a filled directory moves into place");
    }
    done
}

/// The files with this extension in a directory, sorted.
fn sources(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    found
}

/// A name for what these files contain.
fn digest(files: &[PathBuf]) -> String {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
