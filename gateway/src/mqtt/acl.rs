//! Who may publish what, and subscribe to what: a file of topic filters, for users and for all.
//!
//! ```text
//! topic read public/#               lines before the first user are for clients without one
//! user ann
//! topic write plant/+/orders        read, write, readwrite (when nothing is said) or deny, then a filter
//! topic deny  plant/9/#
//! pattern readwrite devices/%u/#    for every client: %u is its user's name, %c its identifier
//! ```
//! The grammar is mosquitto's. Always true:
//! * what nothing grants is refused, and what a `deny` matches is too, wherever it stands;
//! * a subscription is granted if one line grants all of it; where a `deny` takes a part out of it, each message is looked at;
//! * a name that would change a pattern's meaning (`+`, `#`, `/`) is never put into one.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferromq_mqtt::topic::{Filter, Name};

/// The most lines that a file may have.
const MAX_LINES: usize = 100_000;
/// Topics that a connection may remember that it may publish to.
const REMEMBERED: usize = 256;
const FORM: &str = "write `user NAME`, or `topic` or `pattern`, then `read`, `write`, `readwrite` or `deny`, and a topic filter";

/// Why a file of rules cannot be used. The operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum AclError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of it says nothing that is understood.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// The rules of all.
#[derive(Debug, Default)]
pub struct Acl {
    /// Of clients without a user.
    anonymous: Arc<Rules>,
    users: HashMap<String, Arc<Rules>>,
    patterns: Vec<(Access, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    ReadWrite,
    Deny,
}

/// Filters by what they grant.
#[derive(Debug, Default)]
struct Rules {
    read: Vec<Filter>,
    write: Vec<Filter>,
    deny: Vec<Filter>,
}

impl Rules {
    fn add(&mut self, access: Access, filter: Filter) {
        match access {
            Access::Read => self.read.push(filter),
            Access::Write => self.write.push(filter),
            Access::ReadWrite => {
                self.read.push(filter.clone());
                self.write.push(filter);
            }
            Access::Deny => self.deny.push(filter),
        }
    }
}

impl Acl {
    /// Reads a file of rules. Blocking.
    ///
    /// # Errors
    /// [`AclError`].
    pub fn load(path: &Path) -> Result<Self, AclError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| AclError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|(line, why)| AclError::Line { path: path.to_owned(), line, why })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut anonymous = Rules::default();
        let mut users: HashMap<String, Rules> = HashMap::new();
        let mut patterns = Vec::new();
        let mut user: Option<String> = None;
        for (index, line) in text.lines().enumerate() {
            let wrong = |why: &dyn std::fmt::Display| (index + 1, why.to_string());
            if index == MAX_LINES {
                return Err(wrong(&"more lines than 100,000 are not taken"));
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (word, rest) = line
                .split_once(char::is_whitespace)
                .map(|(word, rest)| (word, rest.trim()))
                .ok_or(wrong(&FORM))?;
            match word {
                "user" => {
                    users.entry(rest.to_owned()).or_default();
                    user = Some(rest.to_owned());
                }
                "topic" => {
                    let (access, filter) = parse_access(rest);
                    let filter = Filter::try_from(filter).map_err(|error| wrong(&error))?;
                    match &user {
                        Some(user) => users.get_mut(user).expect("entered with its line"),
                        None => &mut anonymous,
                    }
                    .add(access, filter);
                }
                "pattern" => {
                    let (access, pattern) = parse_access(rest);
                    Filter::try_from(pattern).map_err(|error| wrong(&error))?;
                    patterns.push((access, pattern.to_owned()));
                }
                _ => return Err(wrong(&FORM)),
            }
        }
        let users = users.into_iter().map(|(user, rules)| (user, Arc::new(rules))).collect();
        Ok(Self { anonymous: Arc::new(anonymous), users, patterns })
    }

    /// What a client may do.
    pub(super) fn of(&self, user: Option<&str>, client: &str) -> Permissions {
        let topics = match user {
            Some(user) => self.users.get(user).map(Arc::clone).unwrap_or_default(),
            None => Arc::clone(&self.anonymous),
        };
        let mut patterns = Rules::default();
        for (access, pattern) in &self.patterns {
            match fill(pattern, user, client) {
                Some(filter) => patterns.add(*access, filter),
                // What was meant to be denied cannot be told: nothing is granted.
                None if *access == Access::Deny => {
                    let topics = Arc::default();
                    return Permissions { topics, patterns: Rules::default(), may_publish: HashSet::new() };
                }
                None => {}
            }
        }
        Permissions { topics, patterns, may_publish: HashSet::new() }
    }
}

fn parse_access(text: &str) -> (Access, &str) {
    let known = text.split_once(char::is_whitespace).and_then(|(word, filter)| {
        let access = match word {
            "read" => Access::Read,
            "write" => Access::Write,
            "readwrite" => Access::ReadWrite,
            "deny" => Access::Deny,
            _ => return None,
        };
        Some((access, filter.trim()))
    });
    known.unwrap_or((Access::ReadWrite, text))
}

/// The filter that a pattern is for one client, if it is one.
fn fill(pattern: &str, user: Option<&str>, client: &str) -> Option<Filter> {
    let mut filled = String::with_capacity(pattern.len() + client.len());
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        let (before, behind) = rest.split_at(at);
        filled.push_str(before);
        let name = match behind.as_bytes().get(1) {
            Some(b'u') => user?,
            Some(b'c') => client,
            _ => {
                filled.push('%');
                rest = &behind[1..];
                continue;
            }
        };
        if name.is_empty() || name.contains(['+', '#', '/']) {
            return None;
        }
        filled.push_str(name);
        rest = &behind[2..];
    }
    filled.push_str(rest);
    Filter::try_from(filled.as_str()).ok()
}

/// How much of a subscription is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    /// Not all that it asks for is granted.
    Not,
    /// It is, but for what is denied within it: each message has to be looked at.
    Partly,
    /// All of it.
    Whole,
}

/// What one client may do.
#[derive(Debug)]
pub(super) struct Permissions {
    topics: Arc<Rules>,
    /// Those that are made for this client.
    patterns: Rules,
    /// Topics that were found to be allowed, so that the next message to one costs a look.
    may_publish: HashSet<Name>,
}

impl Permissions {
    /// Whether the client may publish to a topic.
    pub(super) fn may_publish(&mut self, topic: &Name) -> bool {
        if self.may_publish.contains(topic) {
            return true;
        }
        let may = self.allows(topic, |rules| &rules.write);
        if may {
            if self.may_publish.len() == REMEMBERED {
                self.may_publish.clear();
            }
            // Not a slice of a packet that it would keep.
            self.may_publish.insert(Name::try_from(topic.as_str()).expect("a name"));
        }
        may
    }

    /// Whether the client may have messages of a topic.
    pub(super) fn may_read(&self, topic: &str) -> bool {
        self.allows(topic, |rules| &rules.read)
    }

    /// How much of what matches a filter the client may have.
    pub(super) fn may_subscribe(&self, filter: &Filter) -> Granted {
        if !self.any(|rules| &rules.read, |granted| covers(granted, filter)) {
            Granted::Not
        } else if self.any(|rules| &rules.deny, |denied| overlap(denied, filter)) {
            Granted::Partly
        } else {
            Granted::Whole
        }
    }

    fn allows(&self, topic: &str, granted: fn(&Rules) -> &Vec<Filter>) -> bool {
        !self.any(|rules| &rules.deny, |filter| filter.matches(topic))
            && self.any(granted, |filter| filter.matches(topic))
    }

    fn any(&self, which: fn(&Rules) -> &Vec<Filter>, is_it: impl Fn(&Filter) -> bool) -> bool {
        which(&self.topics).iter().chain(which(&self.patterns)).any(is_it)
    }
}

/// Whether every topic that `wanted` matches is one that `granted` does.
fn covers(granted: &Filter, wanted: &Filter) -> bool {
    let (mut granted, mut wanted) = (granted.levels(), wanted.levels());
    let mut is_first = true;
    loop {
        let own = granted.next();
        match (own, wanted.next()) {
            (Some("#"), level) => return !(is_first && level.is_some_and(|level| level.starts_with('$'))),
            (Some("+"), Some(level)) if level != "#" => {
                if is_first && level.starts_with('$') {
                    return false;
                }
            }
            (Some(one), Some(other)) if one == other => {}
            (None, None) => return true,
            _ => return false,
        }
        is_first = false;
    }
}

/// Whether some topic may be matched by both.
fn overlap(one: &Filter, other: &Filter) -> bool {
    let (mut one, mut other) = (one.levels(), other.levels());
    let mut is_first = true;
    loop {
        let (a, b) = (one.next(), other.next());
        let is_wild = |level: Option<&str>| matches!(level, Some("#" | "+"));
        let is_special = |level: Option<&str>| level.is_some_and(|level| level.starts_with('$'));
        if is_first && (is_wild(a) && is_special(b) || is_special(a) && is_wild(b)) {
            return false;
        }
        match (a, b) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::try_from(text).unwrap()
    }

    #[test]
    fn a_filter_covers_another_if_it_matches_all_that_the_other_does() {
        for (granted, wanted) in [
            ("a/#", "a"),
            ("a/#", "a/b/+"),
            ("a/#", "a/#"),
            ("a/+", "a/b"),
            ("a/+", "a/+"),
            ("+/b", "a/b"),
            ("#", "a/#"),
            ("$SYS/#", "$SYS/broker"),
            ("+/#", "+/+"),
            ("a//b", "a//b"),
        ] {
            assert!(covers(&filter(granted), &filter(wanted)), "{granted} {wanted}");
        }
        for (granted, wanted) in [
            ("a/+", "a/#"),
            ("a/b", "a/+"),
            ("a/b", "+/b"),
            ("a/+", "a/b/c"),
            ("a/+", "a"),
            ("#", "$SYS/#"),
            ("+/b", "$a/b"),
            ("a/b", "a/b/c"),
            ("a/b/c", "a/b"),
            ("+", "#"),
            ("+/#", "#"),
        ] {
            assert!(!covers(&filter(granted), &filter(wanted)), "{granted} {wanted}");
        }
    }

    #[test]
    fn filters_overlap_if_a_topic_can_match_both() {
        for (one, other) in
            [("a/#", "a/b/c"), ("+/b", "a/+"), ("a/#", "a"), ("#", "a/b"), ("a/+/c", "+/b/#"), ("a", "a")]
        {
            assert!(overlap(&filter(one), &filter(other)), "{one} {other}");
            assert!(overlap(&filter(other), &filter(one)), "{other} {one}");
        }
        for (one, other) in [("a/b", "a/c"), ("a", "a/b"), ("+", "a/b"), ("#", "$SYS/a"), ("+/x/#", "a/y")] {
            assert!(!overlap(&filter(one), &filter(other)), "{one} {other}");
            assert!(!overlap(&filter(other), &filter(one)), "{other} {one}");
        }
    }

    #[test]
    fn each_user_has_the_lines_below_its_name_and_the_patterns_of_all() {
        let acl = Acl::parse(
            "# rules\ntopic read public/#\n\nuser ann\ntopic write plant/+/orders\ntopic plant/1/state\n\
             topic read all/#\ntopic deny all/secret/#\nuser bob\ntopic read a b/c\npattern write in/%c/%u/x\n\
             pattern read %u%/#",
        )
        .unwrap();
        let name = |text: &str| Name::try_from(text).unwrap();
        let mut ann = acl.of(Some("ann"), "c1");
        for topic in ["plant/1/orders", "plant/1/state", "in/c1/ann/x", "plant/1/orders"] {
            assert!(ann.may_publish(&name(topic)), "{topic}");
        }
        for topic in ["plant/1/x", "all/x", "in/c2/ann/x", "in/c1/bob/x", "public/x"] {
            assert!(!ann.may_publish(&name(topic)), "{topic}");
        }
        assert_eq!(ann.may_subscribe(&filter("plant/1/state")), Granted::Whole);
        assert_eq!(ann.may_subscribe(&filter("ann%/x")), Granted::Whole);
        assert_eq!(ann.may_subscribe(&filter("all/+/x")), Granted::Partly);
        assert_eq!(ann.may_subscribe(&filter("all/public")), Granted::Whole);
        assert_eq!(ann.may_subscribe(&filter("plant/#")), Granted::Not);
        assert_eq!(ann.may_subscribe(&filter("public/x")), Granted::Not);
        assert!(ann.may_read("all/x") && !ann.may_read("all/secret/x"));
        let nobody = acl.of(None, "c1");
        assert_eq!(nobody.may_subscribe(&filter("public/+")), Granted::Whole);
        assert_eq!(acl.of(Some("bob"), "c").may_subscribe(&filter("a b/c")), Granted::Whole);
        assert_eq!(acl.of(Some("carl"), "c").may_subscribe(&filter("public/+")), Granted::Not);
    }

    #[test]
    fn a_name_cannot_widen_a_pattern_nor_get_past_one_that_denies() {
        let acl = Acl::parse("pattern readwrite d/%c/#").unwrap();
        for client in ["#", "+", "a/b", "a+"] {
            assert_eq!(acl.of(None, client).may_subscribe(&filter("d/x/y")), Granted::Not, "{client}");
        }
        assert_eq!(acl.of(None, "x").may_subscribe(&filter("d/x/y")), Granted::Whole);
        let acl = Acl::parse("topic #\npattern deny %c/secret").unwrap();
        assert!(acl.of(None, "a").may_read("b/secret") && !acl.of(None, "a").may_read("a/secret"));
        assert!(!acl.of(None, "a/b").may_read("x"));
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        for text in ["topic", "topics read a", "topic read a/#/b", "pattern read a+", "user"] {
            let (line, why) = Acl::parse(&format!("# first\n{text}\n")).unwrap_err();
            assert!(line == 2 && !why.is_empty(), "{text}: {line}: {why}");
        }
        assert!(Acl::load(Path::new("/nowhere/acl")).unwrap_err().to_string().contains("/nowhere/acl"));
    }
}
