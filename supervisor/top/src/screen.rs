//! The live view.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::Modifier;
use ratatui::text::{Line, Text};
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::rates::Sessions;
use crate::{sessions, table};

/// Shows sessions until a key ends it, and leaves the terminal as it was.
pub fn run(interval: Duration) -> io::Result<()> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(io::Error::other("standard input and output are no terminal"));
    }
    // Whoever ends us otherwise gets the terminal back as well.
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, ended.clone())?;
    }
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, interval, &ended);
    if is_hung_up(Duration::ZERO) {
        // At its end it would write to the terminal once more, and panic over that.
        std::mem::forget(terminal);
        return Ok(());
    }
    ratatui::try_restore().and(shown)
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
        if is_hung_up(patience) {
            return Ok(());
        }
        let mut is_asked = ended.load(Ordering::Relaxed);
        while !is_asked && event::poll(Duration::ZERO)? {
            is_asked = view.handle(&event::read()?);
        }
        if is_asked {
            return Ok(());
        }
    }
}

/// Waits for a key, a signal or the end of the terminal; whether it was that. `crossterm` would read nothing from such a terminal again and
/// again, so it is not asked.
fn is_hung_up(patience: Duration) -> bool {
    let keyboard = io::stdin();
    let mut keyboard = [PollFd::new(keyboard.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut keyboard, PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO));
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    keyboard[0].revents().is_some_and(|events| events.intersects(gone))
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
        let processes: usize = shown.sessions.iter().map(|session| session.processes.len()).sum();
        let title =
            format!("vgpu-run top   sessions: {}   processes: {processes}   q: quit", shown.sessions.len());
        frame.render_widget(Line::styled(title, Modifier::REVERSED), head);
        let lines = table::lines(&shown);
        // What is above the screen is at most what does not fit.
        self.above = self.above.min(lines.len().saturating_sub(usize::from(body.height).max(1)));
        let visible = lines.into_iter().skip(self.above).map(styled);
        frame.render_widget(Text::from_iter(visible), body);
    }
}

fn styled(line: table::Line) -> Line<'static> {
    let style = match line {
        table::Line::Session(_) => Modifier::BOLD,
        table::Line::Device(_) | table::Line::Process(_) => Modifier::empty(),
        table::Line::Titles(_) | table::Line::Nothing(_) => Modifier::DIM,
    };
    Line::styled(line.into_text(), style)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::sessions::Found;
    use crate::snapshot::Snapshot;

    fn press(view: &mut View, code: KeyCode, modifiers: KeyModifiers) -> bool {
        view.handle(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn lines_that_do_not_fit_are_scrolled_to() {
        let session = |supervisor| Snapshot { supervisor, command: vec!["x".into()], ..Snapshot::default() };
        let mut view = View { sessions: Sessions::default(), above: 0 };
        view.sessions.update(Found { sessions: (1..=5).map(session).collect(), silent: vec![] });
        let mut terminal = Terminal::new(TestBackend::new(20, 4)).unwrap();
        let mut first = |view: &mut View| {
            terminal.draw(|frame| view.draw(frame)).unwrap();
            terminal.backend().buffer()[(0, 1)].symbol().to_owned()
        };
        assert_eq!(first(&mut view), "1");
        for expected in ["2", "3", "3"] {
            assert!(!press(&mut view, KeyCode::Down, KeyModifiers::NONE));
            assert_eq!(first(&mut view), expected);
        }
        for expected in ["2", "1", "1"] {
            assert!(!press(&mut view, KeyCode::Char('k'), KeyModifiers::NONE));
            assert_eq!(first(&mut view), expected);
        }
    }

    #[test]
    fn some_keys_end_it() {
        let mut view = View { sessions: Sessions::default(), above: 0 };
        assert!(press(&mut view, KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(press(&mut view, KeyCode::Esc, KeyModifiers::NONE));
        assert!(press(&mut view, KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!press(&mut view, KeyCode::Char('c'), KeyModifiers::NONE));
    }
}
