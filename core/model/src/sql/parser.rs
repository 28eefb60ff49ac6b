//! From tokens to a checked tree, by recursive descent:
//!
//! ```text
//! or         := and ( OR and )*
//! and        := equality ( AND equality )*
//! equality   := comparison ( "=" comparison | "<>" comparison | IS [NOT] NULL )*
//! comparison := unary ( (">"|">="|"<"|"<=") unary | [NOT] (CONTAINS|STARTSWITH|ENDSWITH) text
//!                     | [NOT] BETWEEN unary AND unary | [NOT] IN "(" text ("," text)* ")" )*
//! unary      := "+" unary | "-" unary | NOT unary | primary
//! primary    := literal | name | "(" or ")"
//! ```
//! `NOT` binds tighter than a comparison: `NOT a = 1` is `(NOT a) = 1`.

use std::borrow::Cow;

use super::lexer::{Lexer, Token, Word};
use super::tree::{Expr, Like, Order};
use super::{MAX_DEPTH, MAX_LEN, MAX_NODES, MAX_PROPERTIES, Selector, SqlError, eval};

/// Deepest descent: a printed tree has at most a sign and a parenthesis for each of its levels.
const MAX_DESCENT: usize = 2 * MAX_DEPTH + 2;

pub(super) fn parse(text: &str) -> Result<Selector, SqlError> {
    let mut lexer = Lexer::new(text);
    if text.len() > MAX_LEN {
        let problem = format!("the expression has {} bytes, {MAX_LEN} are allowed", text.len());
        return Err(lexer.error(0, problem));
    }
    let (at, token) = lexer.next()?;
    let mut parser = Parser { lexer, at, token, names: Vec::new(), depth: 0, nodes: 0 };
    let whole = parser.or()?;
    // Without a line's end it is two signs to the lexer, but behind a whole expression they can only begin a comment.
    let comment = text[parser.at..].starts_with("--");
    if parser.token != Token::End && !comment {
        return Err(parser.unexpected("an operator or the end"));
    }
    let expr = parser.boolean(whole)?.expr;
    Ok(Selector { names: parser.names, expr })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that is looked at, and where it starts.
    token: Token<'a>,
    at: usize,
    names: Vec<Box<str>>,
    /// How deep the descent is.
    depth: usize,
    /// Parts of the tree so far.
    nodes: usize,
}

/// A part of the tree.
struct Part {
    expr: Expr,
    /// Where it starts in the text.
    at: usize,
    /// Levels of the tree below it.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn advance(&mut self) -> Result<Token<'a>, SqlError> {
        let (at, token) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn unexpected(&self, expected: &str) -> SqlError {
        self.lexer.error(self.at, format!("expected {expected}, found {}", self.token))
    }

    /// Passes over `token` if it is the next one.
    fn take(&mut self, token: &Token<'static>) -> Result<bool, SqlError> {
        let found = self.token == *token;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn take_word(&mut self, word: Word) -> Result<bool, SqlError> {
        self.take(&Token::Word(word))
    }

    fn expect(&mut self, token: &Token<'static>, expected: &str) -> Result<(), SqlError> {
        if self.take(token)? { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// A part that stands above others, if the tree does not get too deep by it.
    fn above(&mut self, expr: Expr, at: usize, parts: &[usize]) -> Result<Part, SqlError> {
        let depth = 1 + parts.iter().max().copied().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.count()?;
        Ok(Part { expr, at, depth })
    }

    fn count(&mut self) -> Result<(), SqlError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.lexer.error(self.at, format!("the expression has more than {MAX_NODES} parts")));
        }
        Ok(())
    }

    fn too_deep(&self) -> SqlError {
        self.lexer.error(self.at, format!("the expression is nested deeper than {MAX_DEPTH} levels"))
    }

    /// The part where a truth value is needed.
    fn boolean(&self, part: Part) -> Result<Part, SqlError> {
        match part.expr {
            Expr::Property(name) => Ok(Part { expr: Expr::Truth(name), ..part }),
            ref expr if expr.is_boolean() => Ok(part),
            _ => Err(self.lexer.error(part.at, "this is neither true nor false")),
        }
    }

    fn or(&mut self) -> Result<Part, SqlError> {
        self.chain(Word::Or, Self::and, Expr::Or)
    }

    fn and(&mut self) -> Result<Part, SqlError> {
        self.chain(Word::And, Self::equality, Expr::And)
    }

    /// One part, or several with `word` between them. They form one level however many they are.
    fn chain(
        &mut self,
        word: Word,
        part: fn(&mut Self) -> Result<Part, SqlError>,
        join: fn(Vec<Expr>) -> Expr,
    ) -> Result<Part, SqlError> {
        let first = part(self)?;
        if self.token != Token::Word(word) {
            return Ok(first);
        }
        let (at, mut depth) = (first.at, first.depth);
        let mut parts = vec![self.boolean(first)?.expr];
        while self.take_word(word)? {
            let next = part(self)?;
            depth = depth.max(next.depth);
            parts.push(self.boolean(next)?.expr);
        }
        self.above(join(parts), at, &[depth])
    }

    fn equality(&mut self) -> Result<Part, SqlError> {
        let mut left = self.comparison()?;
        loop {
            let negated = match self.token {
                Token::Mark("=") => false,
                Token::Mark("<>") => true,
                Token::Word(Word::Is) => {
                    self.advance()?;
                    let negated = self.take_word(Word::Not)?;
                    self.expect(&Token::Word(Word::Null), if negated { "NULL" } else { "NULL or NOT NULL" })?;
                    let expr = Expr::IsNull { negated, value: Box::new(left.expr) };
                    left = self.above(expr, left.at, &[left.depth])?;
                    continue;
                }
                _ => return Ok(left),
            };
            self.advance()?;
            let right = self.comparison()?;
            for side in [&left, &right] {
                if side.expr == Expr::Null {
                    return Err(self.lexer.error(side.at, "NULL equals nothing; use IS NULL"));
                }
            }
            if matches!(left.expr, Expr::Bool(_)) && right.expr.is_constant() && !right.expr.is_boolean() {
                return Err(self.lexer.error(right.at, "this cannot be compared with TRUE or FALSE"));
            }
            let sides = Box::new([left.expr, right.expr]);
            left = self.above(Expr::Equal { negated, sides }, left.at, &[left.depth, right.depth])?;
        }
    }

    fn comparison(&mut self) -> Result<Part, SqlError> {
        let mut left = self.unary()?;
        loop {
            let order = match self.token {
                Token::Mark("<") => Order::Less,
                Token::Mark("<=") => Order::LessOrEqual,
                Token::Mark(">") => Order::Greater,
                Token::Mark(">=") => Order::GreaterOrEqual,
                Token::Word(Word::Not) => {
                    self.advance()?;
                    left = self.predicate(left, true)?;
                    continue;
                }
                Token::Word(
                    Word::Contains | Word::StartsWith | Word::EndsWith | Word::Between | Word::In,
                ) => {
                    left = self.predicate(left, false)?;
                    continue;
                }
                _ => return Ok(left),
            };
            self.advance()?;
            let right = self.unary()?;
            self.ordered(&[&left, &right])?;
            let sides = Box::new([left.expr, right.expr]);
            left = self.above(Expr::Order { order, sides }, left.at, &[left.depth, right.depth])?;
        }
    }

    /// Whether these have an order: numbers do, and what is known only with the message may.
    fn ordered(&self, parts: &[&Part]) -> Result<(), SqlError> {
        for part in parts {
            if part.expr.is_boolean() || (part.expr.is_constant() && !part.expr.is_number()) {
                let problem = "only numbers and properties can be compared by <, <=, >, >= and BETWEEN";
                return Err(self.lexer.error(part.at, problem));
            }
        }
        Ok(())
    }

    /// What may stand behind a value, and behind `NOT`.
    fn predicate(&mut self, left: Part, negated: bool) -> Result<Part, SqlError> {
        let at = left.at;
        let how = match self.token {
            Token::Word(Word::Between) => return self.between(left, negated),
            Token::Word(Word::In) => return self.one_of(&left, negated),
            Token::Word(Word::Contains) => Like::Contains,
            Token::Word(Word::StartsWith) => Like::StartsWith,
            Token::Word(Word::EndsWith) => Like::EndsWith,
            _ => return Err(self.unexpected("BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH")),
        };
        self.advance()?;
        let text = self.text()?.into();
        let expr = Expr::Like { negated, how, value: Box::new(left.expr), text };
        self.above(expr, at, &[left.depth])
    }

    fn between(&mut self, value: Part, negated: bool) -> Result<Part, SqlError> {
        self.advance()?;
        let low = self.unary()?;
        self.expect(&Token::Word(Word::And), "AND")?;
        let high = self.unary()?;
        self.ordered(&[&value, &low, &high])?;
        if !negated && low.expr.is_number() && high.expr.is_number() && eval::is_less(&high.expr, &low.expr) {
            return Err(self.lexer.error(high.at, "the upper bound is below the lower one"));
        }
        let depths = [value.depth, low.depth, high.depth];
        let parts = Box::new([value.expr, low.expr, high.expr]);
        self.above(Expr::Between { negated, parts }, value.at, &depths)
    }

    fn one_of(&mut self, value: &Part, negated: bool) -> Result<Part, SqlError> {
        let Expr::Property(name) = value.expr else {
            return Err(self.lexer.error(value.at, "only a property can be looked for by IN"));
        };
        self.advance()?;
        self.expect(&Token::Mark("("), "\"(\"")?;
        let mut texts: Vec<Box<str>> = vec![self.text()?.into()];
        while self.take(&Token::Mark(","))? {
            texts.push(self.text()?.into());
        }
        self.expect(&Token::Mark(")"), "\",\" or \")\"")?;
        texts.sort_unstable();
        texts.dedup();
        self.above(Expr::In { negated, name, texts }, value.at, &[value.depth])
    }

    fn text(&mut self) -> Result<Cow<'a, str>, SqlError> {
        if !matches!(self.token, Token::Text(_)) {
            return Err(self.unexpected("a text in single quotes"));
        }
        let Token::Text(text) = self.advance()? else { unreachable!("it was one just now") };
        Ok(text)
    }

    fn unary(&mut self) -> Result<Part, SqlError> {
        self.depth += 1;
        if self.depth > MAX_DESCENT {
            return Err(self.too_deep());
        }
        let at = self.at;
        let part = match self.token {
            Token::Mark("+") => {
                self.advance()?;
                self.unary()?
            }
            Token::Mark("-") => {
                self.advance()?;
                let part = self.unary()?;
                self.above(Expr::Negate(Box::new(part.expr)), at, &[part.depth])?
            }
            Token::Word(Word::Not) => {
                self.advance()?;
                let part = self.unary()?;
                let part = self.boolean(part)?;
                self.above(Expr::Not(Box::new(part.expr)), at, &[part.depth])?
            }
            _ => self.primary()?,
        };
        self.depth -= 1;
        Ok(part)
    }

    fn primary(&mut self) -> Result<Part, SqlError> {
        let at = self.at;
        match self.token {
            Token::Name(_) | Token::Text(_) | Token::Integer(_) | Token::Float(_) | Token::Mark("(") => {}
            Token::Word(Word::True | Word::False | Word::Null) => {}
            Token::Word(_) | Token::Mark(_) | Token::End => {
                return Err(self.unexpected("a property, a literal or \"(\""));
            }
        }
        let expr = match self.advance()? {
            Token::Mark("(") => {
                let part = self.or()?;
                self.expect(&Token::Mark(")"), "an operator or \")\"")?;
                return Ok(part);
            }
            Token::Word(Word::True) => Expr::Bool(true),
            Token::Word(Word::False) => Expr::Bool(false),
            Token::Word(Word::Null) => Expr::Null,
            Token::Name(name) => Expr::Property(self.name(at, name)?),
            Token::Text(text) => Expr::Text(text.into()),
            Token::Integer(digits) => match (digits.parse(), digits.parse()) {
                (Ok(small), _) => Expr::Int(small),
                (_, Ok(large)) => Expr::Long(large),
                _ => return Err(self.lexer.error(at, "this number is beyond 64 bits")),
            },
            // The reference refuses what is below the smallest number above zero, and so zero as well.
            Token::Float(digits) => match digits.parse::<f64>() {
                Ok(value) if value > 0.0 && value.is_finite() => Expr::Double(value),
                _ => {
                    return Err(self
                        .lexer
                        .error(at, "this number is out of the range of 64-bit floats above 0"));
                }
            },
            Token::Word(_) | Token::Mark(_) | Token::End => unreachable!("looked at above"),
        };
        self.count()?;
        Ok(Part { expr, at, depth: 0 })
    }

    fn name(&mut self, at: usize, name: &str) -> Result<usize, SqlError> {
        if let Some(known) = self.names.iter().position(|known| **known == *name) {
            return Ok(known);
        }
        if self.names.len() == MAX_PROPERTIES {
            return Err(self.lexer.error(at, format!("only {MAX_PROPERTIES} properties may be asked for")));
        }
        self.names.push(name.into());
        Ok(self.names.len() - 1)
    }
}
