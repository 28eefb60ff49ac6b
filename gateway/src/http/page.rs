//! Lists: how much of them one answer has, and where the next one goes on.

use super::problem::{Kind, Problem};

/// Topics or groups in one answer, where nobody asks for fewer or more.
pub(super) const DEFAULT_NAMES: u32 = 1_000;
/// The same at most.
pub(super) const MAX_NAMES: u32 = 10_000;
/// Messages in one answer, where nobody asks for fewer or more.
pub(super) const DEFAULT_MESSAGES: u32 = 32;
/// The same at most.
pub(super) const MAX_MESSAGES: u32 = 256;

/// How many of something one answer has: as many as were asked for, between 1 and `most`.
pub(super) fn count(asked: Option<u32>, default: u32, most: u32) -> Result<usize, Problem> {
    match asked {
        None => Ok(default as usize),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked as usize),
        Some(asked) => Err(Kind::BadRequest.because(format!("max is {asked}, 1 to {most} is allowed"))),
    }
}

/// Names behind `after`, in order: up to `max` of them, and the last one if there are more.
pub(super) fn of_names(
    names: impl Iterator<Item = String>,
    after: Option<&str>,
    max: usize,
) -> (Vec<String>, Option<String>) {
    let mut names: Vec<_> = names.filter(|name| after.is_none_or(|after| name.as_str() > after)).collect();
    names.sort_unstable();
    let more = names.len() > max;
    names.truncate(max);
    let next = if more { names.last().cloned() } else { None };
    (names, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_behind_the_last_name_and_the_last_page_says_so() {
        let names = || ["c", "a", "b"].into_iter().map(str::to_owned);
        let (first, next) = of_names(names(), None, 2);
        assert_eq!((first, next.as_deref()), (vec!["a".to_owned(), "b".to_owned()], Some("b")));
        assert_eq!(of_names(names(), next.as_deref(), 2), (vec!["c".to_owned()], None));
        assert!(count(Some(0), 1, 2).is_err() && count(Some(3), 1, 2).is_err());
        assert_eq!((count(None, 1, 2).ok(), count(Some(2), 1, 2).ok()), (Some(1), Some(2)));
    }
}
