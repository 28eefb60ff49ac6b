//! What a selector means, once checked, and how it is written.

use std::fmt;

/// An expression. Where a truth value is needed stands one of those that have it: see [`Expr::is_boolean`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
    /// The property with this place among the selector's names.
    Property(usize),
    /// A property where a truth value is needed.
    Truth(usize),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Equal {
        negated: bool,
        sides: Box<[Expr; 2]>,
    },
    Order {
        order: Order,
        sides: Box<[Expr; 2]>,
    },
    IsNull {
        negated: bool,
        value: Box<Expr>,
    },
    /// The value, the lower and the upper bound.
    Between {
        negated: bool,
        parts: Box<[Expr; 3]>,
    },
    /// The texts are sorted.
    In {
        negated: bool,
        name: usize,
        texts: Vec<Box<str>>,
    },
    Like {
        negated: bool,
        how: Like,
        value: Box<Expr>,
        text: Box<str>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Like {
    Contains,
    StartsWith,
    EndsWith,
}

impl Order {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Like {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "CONTAINS",
            Self::StartsWith => "STARTSWITH",
            Self::EndsWith => "ENDSWITH",
        }
    }
}

impl Expr {
    /// Whether it is true, false or null whatever the message.
    pub(super) const fn is_boolean(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Truth(_) | Self::Not(_) | Self::And(_) | Self::Or(_) => true,
            Self::Equal { .. } | Self::Order { .. } | Self::IsNull { .. } | Self::Between { .. } => true,
            Self::In { .. } | Self::Like { .. } => true,
            Self::Int(_) | Self::Long(_) | Self::Double(_) | Self::Text(_) => false,
            Self::Property(_) | Self::Negate(_) => false,
        }
    }

    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Long(_) | Self::Double(_))
    }

    pub(super) const fn is_constant(&self) -> bool {
        self.is_number() || matches!(self, Self::Null | Self::Bool(_) | Self::Text(_))
    }
}

/// Writes `expr`, whose properties have these names.
pub(super) fn print(f: &mut fmt::Formatter<'_>, names: &[Box<str>], expr: &Expr) -> fmt::Result {
    let nested = |f: &mut fmt::Formatter<'_>, part: &Expr| {
        if part.is_constant() {
            return print(f, names, part);
        }
        f.write_str("(")?;
        print(f, names, part)?;
        f.write_str(")")
    };
    let list = |f: &mut fmt::Formatter<'_>, parts: &[Expr], word: &str| {
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                write!(f, " {word} ")?;
            }
            nested(f, part)?;
        }
        Ok(())
    };
    let not = |negated: &bool| if *negated { " NOT" } else { "" };
    match expr {
        Expr::Null => f.write_str("NULL"),
        Expr::Bool(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
        Expr::Int(value) => write!(f, "{value}"),
        Expr::Long(value) => write!(f, "{value}L"),
        Expr::Double(value) => write!(f, "{value:?}"),
        Expr::Text(text) => quoted(f, text),
        Expr::Property(name) | Expr::Truth(name) => f.write_str(&names[*name]),
        Expr::Negate(part) => {
            f.write_str("- ")?;
            nested(f, part)
        }
        Expr::Not(part) => {
            f.write_str("NOT ")?;
            nested(f, part)
        }
        Expr::And(parts) => list(f, parts, "AND"),
        Expr::Or(parts) => list(f, parts, "OR"),
        Expr::Equal { negated, sides } => list(f, &sides[..], if *negated { "<>" } else { "=" }),
        Expr::Order { order, sides } => list(f, &sides[..], order.as_str()),
        Expr::IsNull { negated, value } => {
            nested(f, value)?;
            write!(f, " IS{} NULL", not(negated))
        }
        Expr::Between { negated, parts } => {
            nested(f, &parts[0])?;
            write!(f, "{} BETWEEN ", not(negated))?;
            list(f, &parts[1..], "AND")
        }
        Expr::In { negated, name, texts } => {
            write!(f, "{}{} IN (", names[*name], not(negated))?;
            for (i, text) in texts.iter().enumerate() {
                f.write_str(if i > 0 { ", " } else { "" })?;
                quoted(f, text)?;
            }
            f.write_str(")")
        }
        Expr::Like { negated, how, value, text } => {
            nested(f, value)?;
            write!(f, "{} {} ", not(negated), how.as_str())?;
            quoted(f, text)
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}
