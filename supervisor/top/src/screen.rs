//! The live view.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::rates::{Sessions, Shown};
use crate::{sessions, table};

/// Shows sessions until a key ends it, and leaves the terminal as it was.
pub fn run(interval: Duration) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return Err(io::Error::other("standard output is no terminal"));
    }
    // Whoever ends us otherwise gets the terminal back as well.
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, ended.clone())?;
    }
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, interval, &ended);
    ratatui::try_restore()?;
    shown
}

/// What is to be seen.
struct View {
    sessions: Sessions,
    /// Lines that are above the screen.
    above: usize,
}

fn show(terminal: &mut DefaultTerminal, interval: Duration, ended: &AtomicBool) -> io::Result<()> {
    let mut view = View { sessions: Sessions::default(), above: 0 };
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            view.sessions.update(sessions::all()?);
            next = Instant::now() + interval;
        }
        terminal.draw(|frame| view.draw(frame))?;
        let patience = next.saturating_duration_since(Instant::now()).min(Duration::from_millis(200));
        if event::poll(patience)? && view.handle(&event::read()?) || ended.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

impl View {
    /// Whether it is to end.
    fn handle(&mut self, event: &Event) -> bool {
        let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
            return false;
        };
        match code {
            KeyCode::Char('c') => return modifiers.contains(KeyModifiers::CONTROL),
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Up | KeyCode::Char('k') => self.above = self.above.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.above += 1,
            _ => {}
        }
        false
    }

    fn draw(&mut self, frame: &mut Frame) {
        let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(frame.area());
        let shown = self.sessions.shown();
        let processes: usize = shown.iter().map(|session| session.processes.len()).sum();
        let title = format!("vgpu-run top: {} sessions, {processes} processes   q: quit", shown.len());
        frame.render_widget(Line::styled(title, Style::new().add_modifier(Modifier::REVERSED)), head);
        if shown.is_empty() {
            frame.render_widget(Paragraph::new("no vgpu-run of this user runs"), body);
            return;
        }
        let rows = rows(&shown);
        self.above = self.above.min(rows.len().saturating_sub(usize::from(body.height).max(1)));
        let visible = rows.into_iter().skip(self.above).map(Entry::row);
        let widths = table::WIDTHS.iter().map(|width| Constraint::Length(*width as u16));
        let widths = widths.chain([Constraint::Min(10)]);
        // Lines of sessions and devices go over all columns: they are drawn above the table's own rows.
        let (lines, rows): (Vec<_>, Vec<_>) = visible.unzip();
        frame.render_widget(Table::new(rows, widths), body);
        for (offset, line) in lines.into_iter().enumerate().take(usize::from(body.height)) {
            if let Some(line) = line {
                let place = ratatui::layout::Rect { y: body.y + offset as u16, height: 1, ..body };
                frame.render_widget(line, place);
            }
        }
    }
}

/// A line of the screen.
enum Entry {
    /// Over all columns.
    Whole(Line<'static>),
    /// Column by column.
    Columns([String; 9], Style),
}

impl Entry {
    fn row(self) -> (Option<Line<'static>>, Row<'static>) {
        match self {
            Entry::Whole(line) => (Some(line), Row::default()),
            Entry::Columns(columns, style) => (None, Row::new(columns.map(Cell::from)).style(style)),
        }
    }
}

fn rows(shown: &[Shown]) -> Vec<Entry> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let mut rows = Vec::new();
    for session in shown {
        rows.push(Entry::Whole(Line::styled(table::session(session), bold)));
        let devices = session.devices.iter().map(|device| Line::from(format!("  {}", table::device(device))));
        rows.extend(devices.map(Entry::Whole));
        if !session.processes.is_empty() {
            rows.push(Entry::Columns(table::TITLES.map(str::to_owned), dim));
        }
        let processes = session.processes.iter();
        rows.extend(processes.map(|process| Entry::Columns(table::columns(process), Style::new())));
    }
    rows
}
