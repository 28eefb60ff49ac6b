use proptest::prelude::*;

use super::eval::EvalError;
use super::tree::{Expr, Like, Order};
use super::*;

fn properties(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}\x01{value}\x02")).collect()
}

/// What an expression says of a message with `n=5`, `big=3000000000`, `d=1.5`, `t=true`, `s=hangzhou`, `quote=it's`.
fn said(expression: &str) -> Result<Option<bool>, EvalError> {
    let message = properties(&[
        ("n", "5"),
        ("big", "3000000000"),
        ("d", "1.5"),
        ("t", "TrUe"),
        ("s", "hangzhou"),
        ("quote", "it's"),
        ("$x_1", "é"),
        ("blank", " 7 "),
    ]);
    let selector = Selector::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    selector.evaluate(&message)
}

#[test]
fn expressions_say_what_the_reference_broker_says() {
    const YES: Result<Option<bool>, EvalError> = Ok(Some(true));
    const NO: Result<Option<bool>, EvalError> = Ok(Some(false));
    const NULL: Result<Option<bool>, EvalError> = Ok(None);
    const FAILS: Result<Option<bool>, EvalError> = Err(EvalError);
    #[rustfmt::skip]
    let table = [
        // A text beside a number is read as that number's type.
        ("n = 5", YES), ("n <> 5", NO), ("n > 4", YES), ("n >= 5", YES), ("n < 5", NO), ("n <= 5", YES),
        ("5 = n", YES), ("4 < n", YES), ("n = 5.0", YES), ("d = 1.5", YES), ("d > 1", FAILS), ("1 < d", FAILS),
        ("big > 1", FAILS), ("big = 3000000000", YES), ("big > 2147483648", YES), ("big > 1.0", YES),
        ("n = 5L", YES), ("n < 3000000000", YES), ("s > 1", FAILS), ("s = 1", FAILS), ("blank = 7", FAILS),
        ("blank = 7.0", YES), ("n = '5'", YES), ("n = '5.0'", NO), ("n = -5", NO), ("n > -5", YES),
        ("n > - -4", YES), ("n > --4", YES), ("n = +5", YES), ("n BETWEEN -1 AND +5", YES),
        // A property's own sign is no number.
        ("-n = 5", NULL), ("-n IS NULL", YES), ("- 'x' IS NULL", YES),
        // Constants among themselves.
        ("1 = 1", YES), ("1 = 1.0", YES), ("2147483648 > 1", YES), ("1 < 2147483648", YES), ("1.5 > 1", YES),
        ("'a' = 'a'", YES), ("'a' <> 'b'", YES), ("1 = TRUE", NO), ("TRUE = TRUE", YES), ("TRUE <> FALSE", YES),
        ("'1' = 1", YES), ("1 = '1'", YES), ("1 = 'x'", FAILS), ("1.5 = '1.5'", YES), ("2147483648 = '2147483648'", YES),
        // Two texts have an order if both are numbers.
        ("n > d", YES), ("d <= n", YES), ("s > n", FAILS), ("n = n", YES), ("n = s", NO), ("n < missing", NULL),
        // Texts and truth values.
        ("t = TRUE", YES), ("t = FALSE", NO), ("s = FALSE", YES), ("TRUE = t", FAILS), ("t", NO), ("NOT t", YES),
        ("missing", NULL), ("NOT missing", NULL), ("TRUE", YES), ("NOT FALSE", YES), ("NULL", NULL),
        ("(n = 5) = TRUE", YES), ("(n = 5) = (d = 1.5)", YES), ("n = 5 = TRUE", YES), ("(n = 5) = n", FAILS),
        ("(n = 5) = 1", NO), ("1 = (n = 5)", NO), ("NOT n = FALSE", NO), ("NOT n = TRUE", YES), ("NOT (n = 5)", NO),
        // Null.
        ("missing = 1", NULL), ("missing <> 1", NULL), ("1 = missing", NO), ("1 <> missing", YES),
        ("missing = missing", YES), ("missing = gone", YES), ("missing > 1", NULL), ("1 > missing", NULL),
        ("missing IS NULL", YES), ("missing IS NOT NULL", NO), ("n IS NULL", NO), ("n IS NOT NULL", YES),
        ("NULL IS NULL", YES), ("(missing = 1) IS NULL", YES), ("missing IS NULL IS NULL", NO),
        ("NOT (missing = 1)", NULL), ("n = 5 AND missing = 1", NULL), ("missing = 1 AND n = 5", NULL),
        ("missing = 1 AND n = 6", NO), ("n = 6 AND missing = 1", NO), ("missing = 1 OR n = 5", YES),
        ("missing = 1 OR n = 6", NULL), ("n = 6 OR missing = 1", NULL), ("missing OR NOT t", YES),
        // An error ends it, unless it was decided before.
        ("s = 1 OR n = 5", FAILS), ("n = 5 OR s = 1", YES), ("n = 6 AND s = 1", NO), ("missing = 1 AND s = 1", FAILS),
        ("n = 5 AND s = 1", FAILS),
        // BETWEEN.
        ("n BETWEEN 1 AND 5", YES), ("n BETWEEN 6 AND 9", NO), ("n NOT BETWEEN 6 AND 9", YES),
        ("n NOT BETWEEN 5 AND 5", NO), ("n NOT BETWEEN 9 AND 1", YES), ("missing BETWEEN 1 AND 2", NULL),
        ("missing NOT BETWEEN 1 AND 2", NULL), ("n BETWEEN missing AND 9", NULL), ("n BETWEEN missing AND 1", NO),
        ("n BETWEEN 1 AND missing", NULL), ("n NOT BETWEEN missing AND 1", YES), ("5 BETWEEN d AND 9", FAILS),
        ("3 BETWEEN 1 AND n", YES), ("s BETWEEN 1 AND 2", FAILS), ("n BETWEEN 6 AND s", NO), ("n BETWEEN 5 AND 5.5", YES),
        ("n BETWEEN 1 AND 5 AND n = 5", YES), ("n BETWEEN d AND d", NO),
        // IN.
        ("s IN ('hangzhou')", YES), ("s IN ('a','b','hangzhou','c','d','e')", YES), ("s IN ('a')", NO),
        ("s NOT IN ('a')", YES), ("s NOT IN ('hangzhou')", NO), ("missing IN ('a')", NULL), ("(s) IN ('a', 'a')", NO),
        ("missing NOT IN ('a')", NULL), ("n IN ('5')", YES), ("n IN ('5.0')", NO),
        // Parts of texts.
        ("s CONTAINS 'gzh'", YES), ("s NOT CONTAINS 'gzh'", NO), ("s CONTAINS 'x'", NO), ("s NOT CONTAINS 'x'", YES),
        ("s STARTSWITH 'hang'", YES), ("s NOT STARTSWITH 'hang'", NO), ("s ENDSWITH 'zhou'", YES),
        ("s NOT ENDSWITH 'zhou'", NO), ("s ENDSWITH 'hang'", NO), ("missing CONTAINS 'x'", NO),
        ("missing NOT CONTAINS 'x'", NO), ("missing NOT ENDSWITH 'x'", NO), ("s CONTAINS ''", NO),
        ("s NOT CONTAINS ''", NO), ("5 CONTAINS '5'", NO), ("5 NOT CONTAINS '5'", NO), ("n CONTAINS '5'", YES),
        ("n NOT CONTAINS '6' CONTAINS 'x'", NO),
        // Writing.
        ("quote = 'it''s'", YES), ("quote CONTAINS ''''", YES), ("$x_1 = 'é'", YES), ("S = 'hangzhou'", NULL),
        ("n=5and d=1.5", YES), ("n=5AND(d=1.5)", YES), ("n iS nOt NuLl", YES), ("\t\r\n\x0cn\n=\n5", YES),
        ("n /* five */ = /**/ 5", YES), ("n = 5 -- it is\n", YES), ("-- first\nn = 5", YES), ("n = 5 -- and no more", YES), ("n = 5 -- \r AND n = 6", NO),
        ("n = 5 /* a * b / ** */", YES), ("NOTn IS NULL", YES), ("n = 5 or n = 6 and n = 7", YES),
        ("(n = 5 or n = 6) and n = 7", NO), ("big = 3E9", YES), ("big = 3.e9", YES), ("d = .15e+1", YES), ("d = 15.E-1", YES),
        ("n < 9223372036854775807", YES), ("d < 1e308", YES), ("d > 00.5", YES),
    ];
    for (expression, expected) in table {
        assert_eq!(said(expression), expected, "{expression}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_place_and_the_reason() {
    #[rustfmt::skip]
    let table = [
        ("", "line 1, column 1: expected a property, a literal or \"(\", found the end"),
        ("a = 1 b", "line 1, column 7: expected an operator or the end, found \"b\""),
        ("a LIKE 'x%'", "line 1, column 3: expected an operator or the end, found \"LIKE\""),
        ("a and between 2 and 10", "line 1, column 7: expected a property, a literal or \"(\", found BETWEEN"),
        ("a =\n  > 5", "line 2, column 3: expected a property, a literal or \"(\", found \">\""),
        ("(a = 1", "line 1, column 7: expected an operator or \")\", found the end"),
        ("a = 1)", "line 1, column 6: expected an operator or the end, found \")\""),
        ("a = 'x", "line 1, column 5: this text has no closing \"'\""),
        ("a = 1 /* x", "line 1, column 7: this comment has no closing \"*/\""),
        ("a = \"x\"", "line 1, column 5: '\"' has no meaning here; texts stand in single quotes"),
        ("a = 1;", "line 1, column 6: ';' has no meaning here"),
        ("é = 1", "line 1, column 1: 'é' has no meaning here"),
        ("a = 'é' ?", "line 1, column 9: '?' has no meaning here"),
        ("a BETWEEN 10 AND 0", "line 1, column 18: the upper bound is below the lower one"),
        ("a BETWEEN 1", "line 1, column 12: expected AND, found the end"),
        ("a BETWEEN 'a' AND 'b'", "line 1, column 11: only numbers and properties can be compared"),
        ("a BETWEEN NULL AND 1", "line 1, column 11: only numbers"),
        ("a > 'x'", "line 1, column 5: only numbers"),
        ("'x' < a", "line 1, column 1: only numbers"),
        ("a > TRUE", "line 1, column 5: only numbers"),
        ("a > 1 > 2", "line 1, column 1: only numbers"),
        ("a = NULL", "line 1, column 5: NULL equals nothing; use IS NULL"),
        ("NULL <> a", "line 1, column 1: NULL equals nothing"),
        ("TRUE = 1", "line 1, column 8: this cannot be compared with TRUE or FALSE"),
        ("5", "line 1, column 1: this is neither true nor false"),
        ("'a' AND b", "line 1, column 1: this is neither true nor false"),
        ("a AND - b", "line 1, column 7: this is neither true nor false"),
        ("NOT 5", "line 1, column 5: this is neither true nor false"),
        ("a IN ()", "line 1, column 7: expected a text in single quotes, found \")\""),
        ("a IN ('x' 'y')", "line 1, column 11: expected \",\" or \")\", found the text 'y'"),
        ("a IN (1)", "line 1, column 7: expected a text in single quotes, found \"1\""),
        ("5 IN ('5')", "line 1, column 1: only a property can be looked for by IN"),
        ("a NOT 5", "line 1, column 7: expected BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH, found \"5\""),
        ("a CONTAINS b", "line 1, column 12: expected a text in single quotes, found \"b\""),
        ("a IS 5", "line 1, column 6: expected NULL or NOT NULL, found \"5\""),
        ("a = 9223372036854775808", "line 1, column 5: this number is beyond 64 bits"),
        ("a = 0.0", "line 1, column 5: this number is out of the range"),
        ("a = 1e400", "line 1, column 5: this number is out of the range"),
        ("a = 007", "line 1, column 6: expected an operator or the end, found \"0\""),
        ("a = 0L", "line 1, column 6: expected an operator or the end, found \"L\""),
        ("a = 1 - - 2", "line 1, column 7: expected an operator or the end, found \"-\""),
    ];
    for (expression, expected) in table {
        let error = Selector::parse(expression).expect_err(expression).to_string();
        assert!(error.starts_with(expected), "{expression}: {error}");
    }
}

#[test]
fn neither_depth_nor_length_harms() {
    let refused = |expression: String, why: &str| {
        let error = Selector::parse(&expression).expect_err("too much").to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(format!("{}a{}", "(".repeat(30_000), ")".repeat(30_000)), "nested deeper");
    refused(format!("{}a", "NOT ".repeat(15_000)), "nested deeper");
    refused(format!("{}5 = a", "- ".repeat(30_000)), "nested deeper");
    refused(format!("a{}", " = a".repeat(10_000)), "nested deeper");
    refused(format!("a{}", " AND a".repeat(10_000)), "4096 parts");
    refused(format!("a = '{}'", "x".repeat(MAX_LEN)), "65536 are allowed");
    refused((0..65).map(|n| format!("p{n} = 1")).collect::<Vec<_>>().join(" AND "), "64 properties");
    let wide = Selector::parse(&format!("a = 1{}", " OR a = 1".repeat(1000))).unwrap();
    assert!(wide.admits("a\x011\x02"));
    let names: Vec<_> = (0..MAX_PROPERTIES).map(|n| format!("p{n} = {n}")).collect();
    let message: String = (0..MAX_PROPERTIES).map(|n| format!("p{n}\x01{n}\x02")).collect();
    assert!(Selector::parse(&names.join(" AND ")).unwrap().admits(&message));
    let texts: Vec<_> = (0..8000).map(|n| format!("'{n}'")).collect();
    let many = Selector::parse(&format!("a IN ({})", texts.join(","))).unwrap();
    assert!(many.admits("a\x017999\x02") && !many.admits("a\x018000\x02"));
}

#[test]
fn the_last_of_several_values_counts_and_an_empty_one_is_none() {
    let selector = Selector::parse("a = 2").unwrap();
    assert!(selector.admits("a\x011\x02b\x013\x02a\x012") && !selector.admits("a\x012\x02a\x011\x02"));
    assert_eq!(Selector::parse("a IS NULL").unwrap().evaluate("a\x01\x02"), Ok(Some(true)));
}

/// Trees that a parser can give, over the properties `a` to `d`.
fn any_expr() -> impl Strategy<Value = Expr> {
    let number = prop_oneof![
        (0..=i32::MAX).prop_map(Expr::Int),
        (i64::from(i32::MAX) + 1..=i64::MAX).prop_map(Expr::Long),
        (1e-300..1e300f64).prop_map(Expr::Double),
        (1u64..100).prop_map(|bits| Expr::Double(f64::from_bits(bits))),
    ];
    let text = || "[a-c' é]{0,4}".prop_map(String::into_boxed_str);
    let name = || 0usize..4;
    // Whatever has an order.
    let ordered = prop_oneof![number.clone(), name().prop_map(Expr::Property)];
    let ordered = ordered.prop_recursive(3, 4, 1, |part| part.prop_map(|part| Expr::Negate(Box::new(part))));
    let value = prop_oneof![ordered.clone(), text().prop_map(Expr::Text)];
    let like = prop_oneof![Just(Like::Contains), Just(Like::StartsWith), Just(Like::EndsWith)];
    let order = prop_oneof![
        Just(Order::Less),
        Just(Order::LessOrEqual),
        Just(Order::Greater),
        Just(Order::GreaterOrEqual)
    ];
    let leaf = prop_oneof![
        any::<bool>().prop_map(Expr::Bool),
        Just(Expr::Null),
        name().prop_map(Expr::Truth),
        (any::<bool>(), value.clone(), value.clone())
            .prop_map(|(negated, a, b)| Expr::Equal { negated, sides: Box::new([a, b]) }),
        (order, ordered.clone(), ordered.clone())
            .prop_map(|(order, a, b)| Expr::Order { order, sides: Box::new([a, b]) }),
        (any::<bool>(), value.clone())
            .prop_map(|(negated, value)| Expr::IsNull { negated, value: Box::new(value) }),
        // Bounds that are both numbers would have to be in order.
        (any::<bool>(), ordered.clone(), ordered, name()).prop_map(|(negated, value, low, high)| {
            Expr::Between { negated, parts: Box::new([value, low, Expr::Property(high)]) }
        }),
        (any::<bool>(), name(), proptest::collection::btree_set(text(), 1..7)).prop_map(
            |(negated, name, texts)| Expr::In { negated, name, texts: texts.into_iter().collect() }
        ),
        (any::<bool>(), like, value, text()).prop_map(|(negated, how, value, text)| Expr::Like {
            negated,
            how,
            value: Box::new(value),
            text
        }),
    ];
    leaf.prop_recursive(5, 48, 4, |part| {
        let several = proptest::collection::vec(part.clone(), 2..5);
        prop_oneof![
            part.clone().prop_map(|part| Expr::Not(Box::new(part))),
            several.clone().prop_map(Expr::And),
            several.prop_map(Expr::Or),
            (any::<bool>(), part)
                .prop_map(|(negated, value)| Expr::IsNull { negated, value: Box::new(value) }),
        ]
    })
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\PC{0,80}") {
        let _ = Selector::parse(&text);
    }

    #[test]
    fn parsing_what_looks_like_a_selector_never_panics(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("a"), Just("b"), Just("5"), Just("1.5"), Just("'x'"), Just("("), Just(")"), Just("="), Just("<>"),
                Just("<"), Just(">="), Just("AND"), Just("OR"), Just("NOT"), Just("IS"), Just("NULL"), Just("IN"),
                Just("BETWEEN"), Just("CONTAINS"), Just("-"), Just("+"), Just(","), Just("TRUE"), Just("--"), Just("\n"),
            ],
            0..24,
        ),
    ) {
        if let Ok(selector) = Selector::parse(&parts.join(" ")) {
            let _ = selector.evaluate("a\x015\x02b\x01x\x02");
        }
    }

    #[test]
    fn what_is_printed_reads_as_the_same_selector(expr in any_expr(), message in "[abcd5x\x01\x02]{0,40}") {
        let names = ["a", "b", "c", "d"].map(Box::from).to_vec();
        let selector = Selector { names, expr };
        let text = selector.to_string();
        let read = Selector::parse(&text);
        prop_assert!(read.is_ok(), "{text}: {read:?}");
        let read = read.unwrap();
        // Names come in the order of their appearance, so that only the text and the meaning can be compared.
        prop_assert_eq!(read.to_string(), text);
        prop_assert_eq!(read.evaluate(&message), selector.evaluate(&message));
    }
}
