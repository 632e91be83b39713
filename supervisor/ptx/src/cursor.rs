//! A position in PTX text, and the few ways of moving it forward.

/// Reads words from bytes. White space and comments are skipped before each word.
#[derive(Clone)]
pub(crate) struct Cursor<'t> {
    pub text: &'t str,
    pub at: usize,
    depth: u32,
}

/// Brackets inside brackets that are followed; no program has more than three.
const DEEPEST: u32 = 64;

const WORD: u8 = 1;
const SPACE: u8 = 2;
/// Bytes at which [`Cursor::skip_braces`] has to look.
const STRUCTURE: u8 = 4;

const CLASS: [u8; 256] = {
    let mut class = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b == b'%' {
            class[byte] |= WORD;
        }
        if b == b' ' || b == b'\t' || b == b'\n' || b == b'\r' {
            class[byte] |= SPACE;
        }
        if b == b'{' || b == b'}' || b == b'"' || b == b'/' {
            class[byte] |= STRUCTURE;
        }
        byte += 1;
    }
    class
};

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str, at: usize) -> Self {
        Cursor { text, at, depth: 0 }
    }

    /// Enters a bracket; text that is made to nest without end is refused before the stack is used up.
    pub fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST { Err("brackets are nested too deeply".into()) } else { Ok(()) }
    }

    /// Leaves a bracket.
    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// The text between two places; nothing where damage has left them inside a character.
    fn slice(&self, range: std::ops::Range<usize>) -> &'t str {
        self.text.get(range).unwrap_or("")
    }

    /// The next few characters, for messages.
    pub fn near(&self) -> String {
        let rest = &self.text.as_bytes()[self.at.min(self.text.len())..];
        let near = String::from_utf8_lossy(&rest[..rest.len().min(40)]);
        near.lines().next().unwrap_or("").trim_end().to_owned()
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// Skips white space and comments.
    pub fn skip_space(&mut self) {
        loop {
            while CLASS[self.byte(self.at) as usize] & SPACE != 0 {
                self.at += 1;
            }
            if self.byte(self.at) != b'/' {
                return;
            }
            match self.byte(self.at + 1) {
                b'/' => self.skip_line(),
                b'*' => self.skip_comment(),
                _ => return,
            }
        }
    }

    /// Moves behind the end of the line.
    pub fn skip_line(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |n| n + 1);
    }

    fn skip_comment(&mut self) {
        let rest = &self.text.as_bytes()[self.at + 2..];
        let end = rest.windows(2).position(|w| w == b"*/");
        self.at += 2 + end.map_or(rest.len(), |n| n + 2);
    }

    /// The next byte that is not white space; 0 at the end.
    pub fn peek(&mut self) -> u8 {
        self.skip_space();
        self.byte(self.at)
    }

    /// Takes `byte` if it is next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte && byte != 0;
        self.at += usize::from(found);
        found
    }

    /// Takes letters, digits, `_`, `$` and `%`; empty if none are next.
    pub fn word(&mut self) -> &'t str {
        self.skip_space();
        let start = self.at;
        while CLASS[self.byte(self.at) as usize] & WORD != 0 {
            self.at += 1;
        }
        self.slice(start..self.at)
    }

    /// Takes a word with dots and double colons in it: `ld.shared::cta.u32`, `.reg`.
    pub fn dotted(&mut self) -> &'t str {
        self.skip_space();
        let start = self.at;
        loop {
            let b = self.byte(self.at);
            if CLASS[b as usize] & WORD != 0 || b == b'.' {
                self.at += 1;
            } else if b == b':' && self.byte(self.at + 1) == b':' {
                self.at += 2;
            } else {
                return self.slice(start..self.at);
            }
        }
    }

    /// Takes a directive or qualifier with its dot, up to the next dot; empty if none is next.
    pub fn directive(&mut self) -> &'t str {
        if self.peek() != b'.' {
            return "";
        }
        let start = self.at;
        self.at += 1;
        loop {
            let b = self.byte(self.at);
            if CLASS[b as usize] & WORD != 0 {
                self.at += 1;
            } else if b == b':' && self.byte(self.at + 1) == b':' {
                self.at += 2;
            } else {
                return self.slice(start..self.at);
            }
        }
    }

    /// Takes a quoted string, without its quotes.
    pub fn quoted(&mut self) -> Option<&'t str> {
        if !self.eat(b'"') {
            return None;
        }
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let end = rest.iter().position(|&byte| byte == b'"')? + start;
        self.at = end + 1;
        Some(self.slice(start..end))
    }

    /// From an opening brace, moves behind the brace that closes it. False at the end of the text.
    pub fn skip_braces(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        let mut depth = 0usize;
        let mut at = self.at;
        while at < bytes.len() {
            let b = bytes[at];
            if CLASS[b as usize] & STRUCTURE == 0 {
                at += 1;
                continue;
            }
            at += 1;
            match b {
                b'{' => depth += 1,
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at = at;
                        return true;
                    }
                }
                b'"' => at += bytes[at..].iter().position(|&b| b == b'"').map_or(bytes.len() - at, |n| n + 1),
                _ => {
                    self.at = at - 1;
                    if matches!(self.byte(at), b'/' | b'*') {
                        self.skip_space();
                        at = self.at;
                    }
                }
            }
        }
        self.at = bytes.len();
        false
    }

    /// Moves behind `.loc file line column`, from behind `.loc`, with the attributes that may follow (PTX ISA 11.5.4).
    pub fn skip_location(&mut self) {
        self.skip_numbers();
        while self.peek() == b',' {
            self.at += 1;
            match self.word() {
                "function_name" => {
                    self.word();
                    if self.eat(b'+') {
                        self.word();
                    }
                }
                _ => self.skip_numbers(),
            }
        }
    }

    /// Moves behind `.file index "name"`, from behind `.file`, with time and size (PTX ISA 11.5.3).
    pub fn skip_file(&mut self) {
        self.skip_numbers();
        let _name = self.quoted();
        while self.eat(b',') {
            self.word();
        }
    }

    fn skip_numbers(&mut self) {
        while self.peek().is_ascii_digit() {
            self.word();
        }
    }

    /// Moves behind the next `;`.
    pub fn skip_statement(&mut self) {
        loop {
            match self.peek() {
                0 => return,
                b';' => {
                    self.at += 1;
                    return;
                }
                b'"' => {
                    if self.quoted().is_none() {
                        self.at = self.text.len();
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }
}

/// 1-based line and column of a byte offset.
pub(crate) fn place_of(text: &str, at: usize) -> (u32, u32) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|&&b| b == b'\n').count() as u32 + 1;
    let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
    // Bytes that continue a character are not counted.
    let column = before[start..].iter().filter(|&&b| b & 0xc0 != 0x80).count() as u32 + 1;
    (line, column)
}
