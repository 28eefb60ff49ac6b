//! Names, filters, matching. Tests name the normative statements that they show: `3:x` of 3.1.1, `5:x` of 5.0.

use proptest::prelude::*;

use super::*;
use crate::text::TextError;

fn fault(filter: &str) -> Option<FilterFault> {
    match AnyFilter::try_from(filter) {
        Ok(_) => None,
        Err(FilterError::Filter(invalid)) => {
            assert_eq!(invalid.text, filter);
            Some(invalid.fault)
        }
        Err(FilterError::Text(error)) => panic!("{filter:?}: {error}"),
    }
}

fn matches(filter: &str, name: &str) -> bool {
    Filter::try_from(filter).unwrap().matches(&Name::try_from(name).unwrap())
}

/// 3:4.7.3-1, 5:4.7.3-1, 3:4.7.1-1, 5:4.7.0-1, 3:4.7.3-2, 5:4.7.3-2
#[test]
fn a_name_has_a_character_no_wildcard_and_no_null() {
    assert_eq!(Name::try_from(""), Err(NameError::Empty));
    for name in ["+", "#", "a/+", "a/#", "a+b", "ä#"] {
        assert_eq!(Name::try_from(name), Err(NameError::Wildcard));
    }
    assert_eq!(Name::try_from("a\0"), Err(NameError::Text(TextError::Null)));
    assert_eq!(Name::new((&b"\xFF"[..]).into()), Err(NameError::Text(TextError::NotUtf8)));
    for name in ["/", "//", " ", "a b", "$SYS", "ä/ö", "%", "\u{FEFF}", "𝄞"] {
        assert_eq!(Name::try_from(name).unwrap().as_str(), name);
    }
}

/// 3:4.7.3-4, 5:4.7.3-4
#[test]
fn nothing_is_normalised() {
    let names = ["a/b", "a/b/", "/a/b", "a//b", "A/b", "a/b ", "ä", "a\u{308}"];
    for (at, name) in names.iter().enumerate() {
        for (other_at, other) in names.iter().enumerate() {
            assert_eq!(Name::try_from(*name) == Name::try_from(*other), at == other_at);
            assert_eq!(matches(name, other), at == other_at, "{name} and {other}");
        }
    }
}

#[test]
fn empty_levels_count() {
    let levels = |name: &str| Name::try_from(name).unwrap().levels().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(levels("/"), ["", ""]);
    assert_eq!(levels("/a//b"), ["", "a", "", "b"]);
    let filter = Filter::from_static("+/a//#");
    assert_eq!(filter.levels().collect::<Vec<_>>(), ["+", "a", "", "#"]);
}

/// 3:4.7.1-2, 5:4.7.1-1, 3:4.7.1-3, 5:4.7.1-2, 3:4.7.3-1, 5:4.7.3-1
#[test]
fn wildcards_are_whole_levels_and_the_many_are_last() {
    for filter in
        ["#", "+", "/", "a", "a/#", "a/+", "+/+", "/+", "+/#", "+/a/+/b/#", "$SYS/#", "$share", "$shared/#"]
    {
        assert_eq!(fault(filter), None, "{filter}");
    }
    for filter in ["a#", "a/#/b", "#/", "##", "a/b#", "#a", "/#/", "ä#", " #"] {
        assert_eq!(fault(filter), Some(FilterFault::NotLast), "{filter}");
    }
    for filter in ["a+", "+a", "a/+b", "a/b+/c", "++", "+/++", "ä+"] {
        assert_eq!(fault(filter), Some(FilterFault::PartOfLevel), "{filter}");
    }
    assert_eq!(fault(""), Some(FilterFault::Empty));
}

#[test]
fn filters_match_as_the_protocol_shows() {
    for (filter, name, expected) in [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/player1/#", "sport/tennis/player2", false),
        ("sport/#", "sport", true),
        ("sport/#", "sports", false),
        ("a/#", "a/", true),
        ("#", "a/b/c", true),
        ("#", "/", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("+", "finance", true),
        ("+/+", "finance", false),
        ("a/+/c", "a//c", true),
        ("+/a/#", "x/a", true),
        ("a/b", "a/b", true),
        ("a/b", "a/B", false),
        ("a", "a/b", false),
        ("a/b", "a", false),
        ("ä/+", "ä/ö", true),
    ] {
        assert_eq!(matches(filter, name), expected, "{filter} and {name}");
    }
}

/// 3:4.7.2-1, 5:4.7.2-1
#[test]
fn a_leading_wildcard_does_not_match_a_leading_dollar() {
    for filter in ["#", "+", "+/uptime", "+/#", "+/+"] {
        for name in ["$SYS/uptime", "$SYS", "$", "$other/uptime"] {
            assert!(!matches(filter, name), "{filter} and {name}");
        }
    }
    for filter in ["$SYS/#", "$SYS/uptime", "$SYS/+"] {
        assert!(matches(filter, "$SYS/uptime"), "{filter}");
    }
    assert!(matches("#", "a/$SYS") && matches("+/+", "a/$b"), "only in front");
    assert!(Name::from_static("$SYS/uptime").is_reserved());
    assert!(!Name::from_static("a/$SYS").is_reserved());
}

/// 5:4.8.2-1, 5:4.8.2-2
#[test]
fn a_shared_filter_has_a_group_and_a_filter() {
    for filter in ["$share//a", "$share/+/a", "$share/#/a", "$share/g+/a", "$share/a#/b"] {
        assert_eq!(fault(filter), Some(FilterFault::Group), "{filter}");
    }
    for filter in ["$share/", "$share/g", "$share/g/", "$share/g#"] {
        assert_eq!(fault(filter), Some(FilterFault::NothingShared), "{filter}");
    }
    assert_eq!(fault("$share/g/a#"), Some(FilterFault::NotLast));
    assert_eq!(fault("$share/g/+a"), Some(FilterFault::PartOfLevel));
    for (text, group, filter) in [
        ("$share/g/a", "g", "a"),
        ("$share/g/#", "g", "#"),
        ("$share/g//", "g", "/"),
        ("$share/ä ö/+/x/#", "ä ö", "+/x/#"),
        ("$share/g/$share/h/a", "g", "$share/h/a"),
    ] {
        let Ok(AnyFilter::Shared(shared)) = AnyFilter::try_from(text) else { panic!("{text} is not shared") };
        assert_eq!((shared.as_str(), shared.group(), shared.filter().as_str()), (text, group, filter));
    }
    assert!(matches!(AnyFilter::try_from("$share"), Ok(AnyFilter::Plain(_))), "a topic like any other");
}

#[test]
fn a_shared_filter_matches_what_is_shared() {
    let Ok(AnyFilter::Shared(shared)) = AnyFilter::try_from("$share/g/a/+") else { panic!("not shared") };
    assert!(shared.matches("a/b") && !shared.matches("a"));
    assert!(!shared.matches("$share/g/a/b"));
    let Ok(AnyFilter::Shared(all)) = AnyFilter::try_from("$share/g/#") else { panic!("not shared") };
    assert!(!all.matches("$SYS/uptime"));
}

#[test]
fn a_shared_filter_is_no_plain_one() {
    let Err(FilterError::Filter(invalid)) = Filter::try_from("$share/g/a") else { panic!("taken") };
    assert_eq!(invalid.fault, FilterFault::Shared);
}

#[test]
fn a_filter_knows_whether_it_wants_one_topic_alone() {
    assert!(!Filter::from_static("a/b").has_wildcard());
    assert!(Filter::from_static("a/+").has_wildcard() && Filter::from_static("#").has_wildcard());
}

/// The rules once more, level by level and with nothing clever.
fn plain(filter: &[&str], name: &[&str]) -> bool {
    match (filter, name) {
        (["#"], _) => true,
        ([], []) => true,
        ([wanted, filter @ ..], [level, name @ ..]) => {
            (*wanted == "+" || wanted == level) && plain(filter, name)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn matching_is_what_the_rules_say(
        filter in "((\\+|[ab$]{0,2})/){0,4}(#|\\+|[ab$]{1,2})",
        name in "(\\$?[ab]{0,2}/){0,4}[ab]{1,2}",
    ) {
        let levels = |text: &'static str| text.split('/').collect::<Vec<_>>();
        let (filter, name): (&'static str, &'static str) = (filter.leak(), name.leak());
        let hidden = name.starts_with('$') && filter.starts_with(['+', '#']);
        prop_assert_eq!(matches(filter, name), plain(&levels(filter), &levels(name)) && !hidden);
    }

    #[test]
    fn any_text_is_a_filter_or_not_and_never_a_panic(text in "[a$/+#ä]{0,12}", prefix in "(\\$share/)?") {
        let text = prefix + &text;
        let wrong = |text: &str| {
            let levels: Vec<&str> = text.split('/').collect();
            text.is_empty() || levels.iter().enumerate().any(|(at, level)| {
                (level.contains('+') && *level != "+")
                    || (level.contains('#') && (*level != "#" || at + 1 != levels.len()))
            })
        };
        let legal = match text.strip_prefix("$share/") {
            None => !wrong(&text),
            Some(shared) => shared.split_once('/').is_some_and(|(group, filter)| {
                !group.is_empty() && !group.contains(['+', '#']) && !wrong(filter)
            }),
        };
        prop_assert_eq!(AnyFilter::try_from(text.as_str()).is_ok(), legal, "{}", text);
    }
}
