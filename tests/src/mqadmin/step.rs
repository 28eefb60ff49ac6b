//! One step of the script.

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A subcommand of the tool.
    Mqadmin,
    /// A call of the admin API, as the dashboard and the exporter make them.
    Admin,
    /// Something that clients do, or a file that a subcommand is to read or has written.
    World,
}

/// How an answer is cut into fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Lines in their order.
    Lines,
    /// Lines in any order.
    Sorted,
    /// Lines in any order, numbers in them not compared.
    Shape,
    /// Lines in any order, words that are numbers with a fraction not compared.
    Decimals,
    /// A line of column names that begin with `#`, and rows in any order.
    Table,
    /// A name and its value on each line.
    Pairs,
    /// One JSON value.
    Json,
}

/// One step of the script and what may differ in its answer.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is.
    pub kind: Kind,
    /// Its words, the first of them its name, parted by single spaces.
    pub line: &'static str,
    /// How many lines it prints before it is cut off, if it would go on for ever; else 0.
    pub until: usize,
    /// How its answer is cut into fields.
    pub layout: Layout,
    /// Fields, columns or beginnings of lines whose values belong to the machine or the moment.
    pub free: Vec<&'static str>,
    /// Fields of whose values only the form is compared.
    pub shaped: Vec<&'static str>,
    /// Fields or lines that are there or not by the moment: all that have this in their names.
    pub without: Vec<&'static str>,
    /// What may differ.
    pub differs: Vec<&'static Difference>,
    /// Why our server refuses this one, if it does.
    pub unsupported: Option<&'static Refusal>,
}

/// A difference that is accepted.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The step, by its line, or all steps of this name.
    pub of: &'static str,
    /// A part of what differs.
    pub part: &'static str,
    /// The reason.
    pub why: &'static str,
}

/// A subcommand or call that our server refuses as not supported.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The step, by its line, or all steps of this name.
    pub of: &'static str,
    /// The reason.
    pub why: &'static str,
}

/// A subcommand.
pub(super) fn mqadmin(line: &'static str) -> Step {
    step(Kind::Mqadmin, Layout::Lines, line)
}

/// A call of the admin API.
pub(super) fn admin(line: &'static str) -> Step {
    step(Kind::Admin, Layout::Pairs, line)
}

/// Something that clients do.
pub(super) fn world(line: &'static str) -> Step {
    step(Kind::World, Layout::Lines, line)
}

fn step(kind: Kind, layout: Layout, line: &'static str) -> Step {
    Step {
        kind,
        line,
        until: 0,
        layout,
        free: vec![],
        shaped: vec![],
        without: vec![],
        differs: vec![],
        unsupported: None,
    }
}

impl Step {
    /// Its name: the subcommand, call or act.
    pub fn name(&self) -> &'static str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The line of the driver's script for it.
    pub(super) fn encode(&self) -> String {
        let words = self.line.replace(' ', "\t");
        match self.kind {
            Kind::Mqadmin => format!("mqadmin\t{}\t{words}", self.until),
            Kind::Admin => format!("admin\t{words}"),
            Kind::World => format!("world\t{words}"),
        }
    }

    pub(super) fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// It would go on for ever: cut it off when it has printed this many lines.
    pub(super) fn until(mut self, lines: usize) -> Self {
        self.until = lines;
        self
    }

    /// Values of these fields are not compared; that the fields are there is.
    pub(super) fn free(mut self, fields: &[&'static str]) -> Self {
        self.free.extend(fields);
        self
    }

    /// Of values of these fields only how they are written is compared: any number is like any other.
    pub(super) fn shaped(mut self, fields: &[&'static str]) -> Self {
        self.shaped.extend(fields);
        self
    }

    /// Fields or lines with this in their names are not compared.
    pub(super) fn without(mut self, part: &'static str) -> Self {
        self.without.push(part);
        self
    }
}
