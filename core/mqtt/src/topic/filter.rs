//! [`Filter`] and [`SharedFilter`]: which messages a subscriber wants, and what of a text is wrong when it is neither.

use std::borrow::Borrow;
use std::fmt;

use crate::text::{Text, TextError};

/// What a shared subscription's filter starts with.
const SHARE: &str = "$share/";

/// A topic filter, not shared: at least one character, '+' alone in its level, '#' alone in the last. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter(Text);

/// A filter of a shared subscription: `$share/{group}/{filter}`. Cheap to clone.
///
/// Two of them are the same subscription when all of their text is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedFilter {
    text: Text,
    /// Where the filter begins: behind the slash that ends the group.
    filter: usize,
}

/// Either kind of filter that a SUBSCRIBE may carry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnyFilter {
    /// The subscriber gets every message.
    Plain(Filter),
    /// The subscriber gets its group's share.
    Shared(SharedFilter),
}

/// A text that was given as a filter and is none. The packet is well formed, the subscription is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic filter {text:?} {fault}")]
pub struct InvalidFilter {
    /// As it was sent.
    pub text: Text,
    /// What is wrong with it.
    pub fault: FilterFault,
}

/// What is wrong with a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterFault {
    /// Filters have at least one character.
    #[error("is empty")]
    Empty,
    /// '+' with something beside it in its level.
    #[error("has a '+' that is not a whole level")]
    PartOfLevel,
    /// '#' with something beside or behind it.
    #[error("has a '#' that is not the whole last level")]
    NotLast,
    /// `$share/` without a group, or with a wildcard in it.
    #[error("names no legal group to share with")]
    Group,
    /// `$share/group` without a filter behind it.
    #[error("names a group and nothing to share")]
    NothingShared,
    /// A legal shared filter where only a plain one can stand.
    #[error("is a shared one")]
    Shared,
}

/// The rules that a filter's text obeys.
fn check(filter: &str) -> Result<(), FilterFault> {
    if filter.is_empty() {
        return Err(FilterFault::Empty);
    }
    let bytes = filter.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let starts = at == 0 || bytes[at - 1] == b'/';
        match byte {
            b'+' if !starts || bytes.get(at + 1).is_some_and(|&next| next != b'/') => {
                return Err(FilterFault::PartOfLevel);
            }
            b'#' if !starts || at + 1 != bytes.len() => return Err(FilterFault::NotLast),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a filter, which is legal, covers a topic name, which is too.
fn covers(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut wanted = filter.split('/');
    let mut levels = name.split('/');
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

impl Filter {
    /// Checks and takes a text.
    ///
    /// # Errors
    /// When it is no filter, and when it is a shared one.
    pub fn new(text: Text) -> Result<Self, InvalidFilter> {
        match AnyFilter::new(text)? {
            AnyFilter::Plain(filter) => Ok(filter),
            AnyFilter::Shared(shared) => Err(InvalidFilter { text: shared.text, fault: FilterFault::Shared }),
        }
    }

    /// The filter without copying it.
    ///
    /// # Panics
    /// When it is no filter, which for a constant shows at once.
    #[must_use]
    pub fn from_static(filter: &'static str) -> Self {
        Self::new(Text::from_static(filter)).expect("a constant is a legal filter")
    }

    /// As Rust's own.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The filter as the text that it is.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.0
    }

    /// What stands between the slashes; wildcards are "+" and "#".
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.as_str().split('/')
    }

    /// Whether it has a wildcard: else it wants the one topic of its own text.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.0.contains(['+', '#'])
    }

    /// Whether it wants messages of this topic, which should be a legal [`Name`](super::Name).
    ///
    /// ```
    /// # use ferromq_mqtt::topic::Filter;
    /// let filter = Filter::from_static("sport/#");
    /// assert!(filter.matches("sport/tennis") && filter.matches("sport"));
    /// assert!(!Filter::from_static("#").matches("$SYS/uptime"));
    /// ```
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        covers(self.as_str(), name)
    }
}

impl SharedFilter {
    /// All of it, as it was subscribed and will be unsubscribed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The same as a text.
    #[must_use]
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The name of those who share.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.text[SHARE.len()..self.filter - 1]
    }

    /// What they share.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter(self.text.from(self.filter))
    }

    /// Whether the group wants messages of this topic.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        covers(&self.text[self.filter..], name)
    }
}

impl AnyFilter {
    /// Checks and takes a text: shared when it starts with `$share/`, which is reserved for that.
    ///
    /// # Errors
    /// When it is no filter.
    pub fn new(text: Text) -> Result<Self, InvalidFilter> {
        match Self::group_end(&text) {
            Ok(None) => Ok(Self::Plain(Filter(text))),
            Ok(Some(filter)) => Ok(Self::Shared(SharedFilter { text, filter })),
            Err(fault) => Err(InvalidFilter { text, fault }),
        }
    }

    /// Where a shared filter begins in the text, `None` for one that is not shared.
    fn group_end(text: &str) -> Result<Option<usize>, FilterFault> {
        let Some(shared) = text.strip_prefix(SHARE) else {
            return check(text).map(|()| None);
        };
        let (group, filter) = shared.split_once('/').ok_or(FilterFault::NothingShared)?;
        if group.is_empty() || group.contains(['+', '#']) {
            return Err(FilterFault::Group);
        }
        match check(filter) {
            Ok(()) => Ok(Some(SHARE.len() + group.len() + 1)),
            Err(FilterFault::Empty) => Err(FilterFault::NothingShared),
            Err(fault) => Err(fault),
        }
    }

    /// As it was subscribed: what identifies the subscription within its session.
    #[must_use]
    pub fn text(&self) -> &Text {
        match self {
            Self::Plain(filter) => filter.text(),
            Self::Shared(shared) => shared.text(),
        }
    }

    /// The same as Rust's own.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text().as_str()
    }

    /// Which topics it wants, shared or not.
    #[must_use]
    pub fn filter(&self) -> Filter {
        match self {
            Self::Plain(filter) => filter.clone(),
            Self::Shared(shared) => shared.filter(),
        }
    }

    /// Whether it is shared.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }
}

impl Borrow<str> for Filter {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Filter {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for Filter {
    type Error = FilterError;

    fn try_from(filter: &str) -> Result<Self, FilterError> {
        Ok(Self::new(Text::try_from(filter)?)?)
    }
}

impl TryFrom<&str> for AnyFilter {
    type Error = FilterError;

    fn try_from(filter: &str) -> Result<Self, FilterError> {
        Ok(Self::new(Text::try_from(filter)?)?)
    }
}

/// Why a string is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It is not even a text of the protocol.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It breaks the rules of filters.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
}

impl From<Filter> for AnyFilter {
    fn from(filter: Filter) -> Self {
        Self::Plain(filter)
    }
}

impl From<SharedFilter> for AnyFilter {
    fn from(filter: SharedFilter) -> Self {
        Self::Shared(filter)
    }
}

macro_rules! shown_as_text {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.as_str(), f)
            }
        }
    )*};
}

shown_as_text!(Filter, SharedFilter, AnyFilter);
