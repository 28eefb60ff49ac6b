//! The terminal: three tables that are drawn anew with each sample and each key.
//!
//! Always true: however watching ends, by a key, a signal, an error or a panic, the terminal is as it was before.

use std::io;
use std::time::Duration;

use anyhow::Result;
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ferromq_client::admin::Admin;
use futures_util::StreamExt as _;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table as Widget};
use ratatui::{DefaultTerminal, Frame};
use tokio::time::sleep;

use super::sample::Sample;
use super::view::{Sort, Table, View};

/// Lines that a table takes beside its rows.
const TABLE_FRAME: u16 = 3;
/// What failed is shown in so many lines.
const MAX_FAILURES: usize = 3;

/// Shows what happens until a key ends it.
pub(super) async fn watch(admin: &Admin, interval: Duration, all: bool) -> Result<()> {
    // Before the screen is taken: what is wrong with the servers is better told on a line of its own.
    let mut before = Sample::take(admin, all).await?;
    let next = || async {
        sleep(interval).await;
        Sample::take(admin, all).await
    };
    let mut screen = Screen::open()?;
    let mut keys = EventStream::new();
    let mut shown = Shown { interval, view: None, sort: Sort::default(), failed: None };
    let mut sampling = Box::pin(next());
    loop {
        screen.terminal.draw(|frame| shown.draw(frame))?;
        tokio::select! {
            sampled = &mut sampling => {
                match sampled {
                    Ok(now) => {
                        shown.view = Some(View::between(&before, &now, shown.sort));
                        shown.failed = None;
                        before = now;
                    }
                    Err(error) => shown.failed = Some(error.to_string()),
                }
                sampling = Box::pin(next());
            }
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    if shown.press(key) == Pressed::Quit {
                        return Ok(());
                    }
                }
                // A new size: it is drawn anew in any case.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
        }
    }
}

/// The terminal, while it is ours.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn open() -> io::Result<Self> {
        let opened = ratatui::try_init();
        if opened.is_err() {
            // It may have been taken in part.
            ratatui::restore();
        }
        Ok(Self { terminal: opened? })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Pressed {
    GoOn,
    Quit,
}

/// What is on the screen.
struct Shown {
    interval: Duration,
    /// None until there are two samples.
    view: Option<View>,
    sort: Sort,
    /// Why there is nothing newer.
    failed: Option<String>,
}

impl Shown {
    fn press(&mut self, key: KeyEvent) -> Pressed {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        self.sort = match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Pressed::Quit,
            // The terminal sends no signal for it while it is ours.
            KeyCode::Char('c') if control => return Pressed::Quit,
            KeyCode::Char('r') => Sort::Rate,
            KeyCode::Char('l') => Sort::Held,
            KeyCode::Char('n') => Sort::Name,
            _ => return Pressed::GoOn,
        };
        if let Some(view) = &mut self.view {
            view.sort(self.sort);
        }
        Pressed::GoOn
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let sort = match self.sort {
            Sort::Rate => "rate",
            Sort::Held => "lag and size",
            Sort::Name => "name",
        };
        let status =
            format!("ferromq top: every {:?}, by {sort}    r rate  l lag  n name  q quit", self.interval);
        let empty = Vec::new();
        let failures = self.view.as_ref().map_or(&empty, |view| &view.failures);
        let told: Vec<_> =
            self.failed.iter().chain(failures).take(MAX_FAILURES).map(|text| format!("! {text}")).collect();
        let [top, middle, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(told.len() as u16),
        ])
        .areas(frame.area());
        frame.render_widget(Paragraph::new(status).style(Style::new().add_modifier(Modifier::BOLD)), top);
        frame.render_widget(Paragraph::new(told.join("\n")).style(Style::new().fg(Color::Red)), bottom);
        let Some(view) = &self.view else {
            frame.render_widget(Paragraph::new("measuring"), middle);
            return;
        };
        let tables = [view.broker_table(), view.topic_table(), view.group_table()];
        // Brokers in full, as far as they leave room; the others share what is left by halves.
        let brokers = (tables[0].rows.len() as u16).saturating_add(TABLE_FRAME).min(middle.height / 3 + 1);
        let areas: [Rect; 3] =
            Layout::vertical([Constraint::Length(brokers), Constraint::Fill(1), Constraint::Fill(1)])
                .areas(middle);
        for (table, area) in tables.iter().zip(areas) {
            draw_table(frame, table, area);
        }
    }
}

fn draw_table(frame: &mut Frame<'_>, table: &Table, area: Rect) {
    let room = usize::from(area.height.saturating_sub(TABLE_FRAME - 1));
    let hidden = table.rows.len().saturating_sub(room);
    let title = if hidden > 0 { format!(" {hidden} more ") } else { String::new() };
    let cell = |column: usize, text: &str| {
        let alignment = if table.is_number(column) { Alignment::Right } else { Alignment::Left };
        Cell::new(Text::from(Line::from(text.to_owned())).alignment(alignment))
    };
    let rows = table
        .rows
        .iter()
        .take(room)
        .map(|row| Row::new(row.iter().enumerate().map(|(column, text)| cell(column, text))));
    let header = Row::new(table.header.iter().enumerate().map(|(column, name)| cell(column, name)));
    let widths = table.widths().into_iter().map(|width| Constraint::Max(width as u16));
    let widget = Widget::new(rows, widths)
        .header(header.style(Style::new().add_modifier(Modifier::BOLD)))
        .column_spacing(2)
        .block(Block::new().borders(Borders::TOP).title(Line::from(title).right_aligned()));
    frame.render_widget(widget, area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_choose_the_order_and_end_it() {
        let mut shown =
            Shown { interval: Duration::from_secs(2), view: None, sort: Sort::default(), failed: None };
        let mut press = |code, modifiers| (shown.press(KeyEvent::new(code, modifiers)), shown.sort);
        assert_eq!(press(KeyCode::Char('l'), KeyModifiers::NONE), (Pressed::GoOn, Sort::Held));
        assert_eq!(press(KeyCode::Char('x'), KeyModifiers::NONE), (Pressed::GoOn, Sort::Held));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::NONE), (Pressed::GoOn, Sort::Held));
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL).0, Pressed::Quit);
        assert_eq!(press(KeyCode::Char('q'), KeyModifiers::NONE).0, Pressed::Quit);
    }
}
