//! The table that settings, `--help`, the printed configuration and `docs/configuration.md` derive from.
//!
//! Each room declares its own settings once, with [`config_keys!`](crate::config_keys), and gets a plain struct
//! with a `Default`, plus its table of [`Key`]s. Whoever has to treat several rooms' settings alike (the command
//! line, admin requests, the reference page) holds them as `&mut dyn` [`Settings`].
//!
//! Always true:
//! * a key has one declaration: its spelling, meaning, type, default, bounds and when a change applies stand there;
//! * the default lies within the bounds, and `show` prints what `set` reads back to the same value;
//! * blanks around a value never matter, and a value that cannot be read is an error that says what is allowed. The
//!   reference broker keeps the default in silence there, so that a typing error shows up as lost data.
//!
//! How one kind of value is written and read is in [`values`], the format of files of them in [`properties`].

pub mod properties;
pub mod values;

pub use values::{ConfigValue, HourSet, Hours, Percent, Secs, Servers};

/// One documented setting, without its value.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The operator's spelling, which is RocketMQ's where RocketMQ has the key.
    pub name: &'static str,
    /// What kind of value it takes: `integer`, `text`, `path`, …
    pub kind: &'static str,
    /// What a plain number counts: `bytes`, `ms`, …
    pub unit: Option<&'static str>,
    /// When a change applies.
    pub applies: Applies,
    #[doc(hidden)]
    pub doc: &'static str,
    #[doc(hidden)]
    pub default: fn() -> String,
    #[doc(hidden)]
    pub allowed: fn() -> String,
}

impl Key {
    /// What it is for, as one line of Markdown.
    #[must_use]
    pub fn meaning(&self) -> String {
        one_line(self.doc)
    }

    /// The default as people read it, as in `1073741824 (1 GiB)`; empty when the key is unset by default.
    #[must_use]
    pub fn default(&self) -> String {
        (self.default)()
    }

    /// Which values are allowed, as in `64 KiB to 2 GiB` or `SYNC_FLUSH or ASYNC_FLUSH`.
    #[must_use]
    pub fn allowed(&self) -> String {
        (self.allowed)()
    }
}

/// What the names of keys have in them whose values are not shown. Secrets belong in files, whose paths are.
const SECRET: [&str; 4] = ["secret", "password", "token", "accesskey"];

/// Whether the value of a key, of any server, is not to be shown.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET.iter().any(|word| key.contains(word))
}

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// At once, also when it is changed by an admin request.
    Live,
    /// With the next start.
    Restart,
    /// Only in a store directory that is still empty: existing files keep the shape they were made in.
    NewStore,
}

impl Applies {
    /// The column of the reference page.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Live => "at once",
            Self::Restart => "on restart",
            Self::NewStore => "in a new store",
        }
    }
}

/// A struct made by [`config_keys!`](crate::config_keys), for those who treat several of them alike.
pub trait Settings {
    /// What these settings are about, as one paragraph of Markdown.
    fn about(&self) -> String;

    /// All keys in the order of their declaration.
    fn keys(&self) -> &'static [Key];

    /// Reads `text` into the setting `key`, which keeps its value when that fails.
    ///
    /// # Errors
    /// [`SetError`] when there is no such key here, or its value is not allowed.
    fn set(&mut self, key: &str, text: &str) -> Result<(), SetError>;

    /// The value of `key` as an operator writes it, or `None` when there is no such key here.
    fn show(&self, key: &str) -> Option<String>;
}

/// Why a setting was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// These settings have no such key.
    #[error("there is no such key")]
    UnknownKey,
    /// The operator's mistake: the value cannot be read, or is out of bounds.
    #[error("{reason}; allowed: {allowed}")]
    BadValue {
        /// What is wrong with the value, which it quotes.
        reason: String,
        /// What is allowed instead.
        allowed: String,
    },
}

/// Declares settings: the struct, its `Default`, its table of [`Key`]s, and [`Settings`] for it.
///
/// ```
/// use ferromq_model::{ByteSize, Millis, config_keys};
///
/// config_keys! {
///     /// How the log is kept.
///     pub struct LogConfig {
///         /// Bytes per file.
///         "fileSize" => file_size: ByteSize = ByteSize::gib(1), NewStore, in ByteSize::kib(64)..=ByteSize::gib(2);
///         /// How long an answer waits for the disk.
///         "flushTimeout" => flush_timeout: Millis = Millis::secs(5), Live;
///         /// The name in the cluster.
///         "name" => name: String = std::process::id().to_string() => "the process id", Restart;
///     }
/// }
///
/// let mut config = LogConfig::default();
/// use ferromq_model::config::Settings;
/// config.set("fileSize", "1 MiB").unwrap();
/// assert_eq!(config.file_size, ByteSize::mib(1));
/// assert_eq!(
///     config.set("fileSize", "1k").unwrap_err().to_string(),
///     "1 KiB is out of bounds; allowed: 64 KiB to 2 GiB"
/// );
/// assert_eq!(LogConfig::KEYS[1].default(), "5000 (5 s)");
/// assert_eq!(LogConfig::KEYS[2].default(), "the process id");
/// ```
///
/// After the type come the default (with `=> "words"` where it depends on the machine), one of [`Applies`], and
/// optionally `in` with an inclusive range.
#[macro_export]
macro_rules! config_keys {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $config:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:literal => $field:ident: $kind:ty = $default:expr $(=> $said:literal)?,
                $applies:ident $(, in $range:expr)?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        $vis struct $config {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nKey `", $key, "`.")]
                $vis $field: $kind,
            )+
        }

        impl $config {
            /// What these settings are about.
            $vis const ABOUT: &'static str = concat!($($about, "\n",)+);
            /// The table of all keys.
            $vis const KEYS: &'static [$crate::config::Key] = &[$(
                $crate::config::Key {
                    name: $key,
                    kind: <$kind as $crate::config::ConfigValue>::KIND,
                    unit: <$kind as $crate::config::ConfigValue>::UNIT,
                    applies: $crate::config::Applies::$applies,
                    doc: concat!($($doc, "\n",)+),
                    default: || $crate::config_keys!(@default $kind, $default $(, $said)?),
                    allowed: || $crate::config_keys!(@allowed $kind $(, $range)?),
                },
            )+];
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $crate::config::Settings for $config {
            fn about(&self) -> String {
                $crate::config::one_line(Self::ABOUT)
            }

            fn keys(&self) -> &'static [$crate::config::Key] {
                Self::KEYS
            }

            fn set(&mut self, key: &str, text: &str) -> Result<(), $crate::config::SetError> {
                match key {
                    $($key => self.$field = $crate::config_keys!(@read $kind, text $(, $range)?)?,)+
                    _ => return Err($crate::config::SetError::UnknownKey),
                }
                Ok(())
            }

            fn show(&self, key: &str) -> Option<String> {
                match key {
                    $($key => Some($crate::config::ConfigValue::show(&self.$field)),)+
                    _ => None,
                }
            }
        }
    };

    (@default $kind:ty, $default:expr) => {
        $crate::config::described::<$kind>(&$default)
    };
    (@default $kind:ty, $default:expr, $said:literal) => {
        $said.to_owned()
    };
    (@allowed $kind:ty) => {
        <$kind as $crate::config::ConfigValue>::allowed()
    };
    (@allowed $kind:ty, $range:expr) => {
        $crate::config::bounds::<$kind>(&$range)
    };
    (@read $kind:ty, $text:expr) => {
        $crate::config::read::<$kind>($text)
    };
    (@read $kind:ty, $text:expr, $range:expr) => {
        $crate::config::read_within::<$kind>($text, &$range)
    };
}

/// Declares an enum that is a setting's value, each variant with the operator's word for it.
///
/// Words are read in any case and shown as declared.
///
/// ```
/// use ferromq_model::config::ConfigValue;
///
/// ferromq_model::config_enum! {
///     /// When a send is acknowledged.
///     pub enum FlushMode {
///         /// After the disk has it.
///         Sync = "SYNC_FLUSH",
///         /// After the page cache has it.
///         Async = "ASYNC_FLUSH",
///     }
/// }
///
/// assert_eq!(FlushMode::parse("sync_flush"), Ok(FlushMode::Sync));
/// assert_eq!(FlushMode::allowed(), "SYNC_FLUSH or ASYNC_FLUSH");
/// ```
#[macro_export]
macro_rules! config_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $word:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name {
            $( $(#[$variant_meta])* $variant, )+
        }

        impl $crate::config::ConfigValue for $name {
            const KIND: &'static str = "one of";
            const UNIT: Option<&'static str> = None;

            fn parse(text: &str) -> Result<Self, String> {
                $(if text.eq_ignore_ascii_case($word) {
                    return Ok(Self::$variant);
                })+
                Err(format!("\"{text}\" is none of the words"))
            }

            fn show(&self) -> String {
                match self { $(Self::$variant => $word.to_owned(),)+ }
            }

            fn allowed() -> String {
                [$($word),+].join(" or ")
            }
        }
    };
}

/// Doc comment lines as one line of text.
#[doc(hidden)]
#[must_use]
pub fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value as written by an operator, followed by how people say it where that differs.
#[doc(hidden)]
pub fn described<T: ConfigValue>(value: &T) -> String {
    let (shown, said) = (value.show(), value.say());
    // "120 s" says all of "120" already, "5 s" does not say "5000".
    if said.starts_with(&shown) { said } else { format!("{shown} ({said})") }
}

#[doc(hidden)]
pub fn bounds<T: ConfigValue>(range: &std::ops::RangeInclusive<T>) -> String {
    format!("{} to {}", range.start().say(), range.end().say())
}

#[doc(hidden)]
pub fn read<T: ConfigValue>(text: &str) -> Result<T, SetError> {
    T::parse(text.trim()).map_err(|reason| SetError::BadValue { reason, allowed: T::allowed() })
}

#[doc(hidden)]
pub fn read_within<T: ConfigValue + PartialOrd>(
    text: &str,
    range: &std::ops::RangeInclusive<T>,
) -> Result<T, SetError> {
    let value =
        T::parse(text.trim()).map_err(|reason| SetError::BadValue { reason, allowed: bounds(range) })?;
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(SetError::BadValue {
            reason: format!("{} is out of bounds", value.say()),
            allowed: bounds(range),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ByteSize, Millis};

    config_enum! {
        /// When a send is acknowledged.
        enum FlushMode {
            /// After the disk.
            Sync = "SYNC_FLUSH",
            /// After the page cache.
            Async = "ASYNC_FLUSH",
        }
    }

    config_keys! {
        /// How the log
        /// is kept.
        struct LogConfig {
            /// When a send
            /// is acknowledged.
            "flushDiskType" => flush: FlushMode = FlushMode::Sync, Restart;
            /// Bytes per file.
            "fileSize" => file_size: ByteSize = ByteSize::gib(1), NewStore, in ByteSize::kib(64)..=ByteSize::gib(2);
            /// How long.
            "syncFlushTimeout" => timeout: Millis = Millis::secs(5), Live;
            /// Where.
            "path" => path: Option<String> = None, Restart;
            /// The name.
            "name" => name: String = "box".to_owned() => "the host name", Restart;
            /// Whether.
            "checked" => checked: bool = true, Live;
        }
    }

    #[test]
    fn the_table_says_what_was_declared() {
        assert_eq!(LogConfig::default().about(), "How the log is kept.");
        let row = |key: &Key| (key.name, key.meaning(), key.default(), key.allowed(), key.applies);
        assert_eq!(
            row(&LogConfig::KEYS[0]),
            (
                "flushDiskType",
                "When a send is acknowledged.".to_owned(),
                "SYNC_FLUSH".to_owned(),
                "SYNC_FLUSH or ASYNC_FLUSH".to_owned(),
                Applies::Restart
            )
        );
        assert_eq!(LogConfig::KEYS[1].default(), "1073741824 (1 GiB)");
        assert_eq!(LogConfig::KEYS[1].allowed(), "64 KiB to 2 GiB");
        assert_eq!((LogConfig::KEYS[1].unit, LogConfig::KEYS[2].unit), (Some("bytes"), Some("ms")));
        assert_eq!(LogConfig::KEYS[3].default(), "");
        assert_eq!(LogConfig::KEYS[4].default(), "the host name");
    }

    #[test]
    fn every_value_can_be_read_back_as_it_is_shown() {
        let mut config = LogConfig::default();
        for key in LogConfig::KEYS {
            let shown = config.show(key.name).unwrap();
            config.set(key.name, &shown).unwrap();
            assert_eq!(config.show(key.name).unwrap(), shown, "{}", key.name);
        }
    }

    #[test]
    fn blanks_and_case_do_not_matter() {
        let mut config = LogConfig::default();
        config.set("flushDiskType", "async_flush \t").unwrap();
        config.set("checked", " FALSE ").unwrap();
        config.set("syncFlushTimeout", "700 ").unwrap();
        assert_eq!((config.flush, config.checked, config.timeout), (FlushMode::Async, false, Millis(700)));
    }

    #[test]
    fn a_bad_value_names_what_is_allowed_and_changes_nothing() {
        let mut config = LogConfig::default();
        let mut told = |key, text| config.set(key, text).unwrap_err().to_string();
        assert_eq!(
            told("fileSize", "many"),
            "\"many\" is not a number of bytes such as 65536 or 64KiB; allowed: 64 KiB to 2 GiB"
        );
        assert_eq!(told("fileSize", "3g"), "3 GiB is out of bounds; allowed: 64 KiB to 2 GiB");
        assert_eq!(
            told("flushDiskType", "SYNC"),
            "\"SYNC\" is none of the words; allowed: SYNC_FLUSH or ASYNC_FLUSH"
        );
        assert_eq!(told("checked", "yes"), "\"yes\" is neither true nor false; allowed: true or false");
        assert_eq!(told("filesize", "1m"), "there is no such key");
        assert_eq!(
            (config.file_size, config.flush, config.checked),
            (ByteSize::gib(1), FlushMode::Sync, true)
        );
    }
}
