//! The live view.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::Modifier;
use ratatui::text::{Line, Text};
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::keys::{Key, keys};
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
    if pressed_within(Duration::ZERO).is_none() {
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
        let Some(pressed) = pressed_within(patience) else { return Ok(()) };
        if ended.load(Ordering::Relaxed) || pressed.contains(&Key::End) {
            return Ok(());
        }
        pressed.into_iter().for_each(|key| view.scroll(key));
    }
}

/// Waits for keys or a signal; `None`: the terminal is gone.
fn pressed_within(patience: Duration) -> Option<Vec<Key>> {
    let keyboard = io::stdin();
    let mut polled = [PollFd::new(keyboard.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut polled, PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO));
    let seen = polled[0].revents().unwrap_or(PollFlags::empty());
    if seen.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
        return None;
    }
    let mut bytes = [0; 256];
    match seen.contains(PollFlags::POLLIN).then(|| read(&keyboard, &mut bytes)) {
        None | Some(Err(Errno::EINTR)) => Some(Vec::new()),
        Some(Ok(0) | Err(_)) => None,
        Some(Ok(length)) => Some(keys(&bytes[..length])),
    }
}

impl View {
    fn scroll(&mut self, key: Key) {
        match key {
            Key::Up => self.above = self.above.saturating_sub(1),
            Key::Down => self.above += 1,
            Key::End => {}
        }
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
            view.scroll(Key::Down);
            assert_eq!(first(&mut view), expected);
        }
        for expected in ["2", "1", "1"] {
            view.scroll(Key::Up);
            assert_eq!(first(&mut view), expected);
        }
    }
}
