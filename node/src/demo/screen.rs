//! Where the demo shows itself: lines as they come, and one block that is repainted in place where a terminal allows it.

use std::io::{self, IsTerminal, Write};

/// Standard error for a program that reads the JSON, standard output for a person.
pub(super) struct Screen {
    out: Box<dyn Write>,
    terminal: bool,
    /// How many lines the block under the cursor has.
    painted: usize,
    last: String,
}

impl Screen {
    /// For a person on standard output.
    pub(super) fn person() -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        Self::new(Box::new(out), terminal)
    }

    /// For a person who watches while a program reads standard output.
    pub(super) fn beside_a_program() -> Self {
        let out = io::stderr();
        let terminal = out.is_terminal();
        Self::new(Box::new(out), terminal)
    }

    fn new(out: Box<dyn Write>, terminal: bool) -> Self {
        Self {
            out,
            terminal,
            painted: 0,
            last: String::new(),
        }
    }

    /// Writes lines below everything.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        self.painted = 0;
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Shows a changing thing: `block` in place of the block before on a terminal, else `line` when it has changed.
    pub(super) fn paint(&mut self, block: &str, line: &str) -> io::Result<()> {
        if !self.terminal {
            if self.last != line {
                self.last = line.to_owned();
                writeln!(self.out, "{line}")?;
            }
            return self.out.flush();
        }
        if self.painted > 0 {
            // Up to the block's first line, and away with all below.
            write!(self.out, "\x1b[{}A\x1b[J", self.painted)?;
        }
        writeln!(self.out, "{block}")?;
        self.painted = block.lines().count();
        self.out.flush()
    }

    /// Takes the block away, for the final one that follows.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        if self.terminal && self.painted > 0 {
            write!(self.out, "\x1b[{}A\x1b[J", self.painted)?;
        }
        self.painted = 0;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::Screen;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(terminal: bool, write: impl Fn(&mut Screen)) -> String {
        let paper = Paper::default();
        write(&mut Screen::new(Box::new(paper.clone()), terminal));
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_terminal_is_repainted_and_a_file_gets_each_line_once() {
        let scene = |screen: &mut Screen| {
            screen.say("start").unwrap();
            screen.paint("a\nb", "1").unwrap();
            screen.paint("c\nd", "1").unwrap();
            screen.paint("e", "2").unwrap();
            screen.clear().unwrap();
        };
        assert_eq!(
            written(true, scene),
            "start\na\nb\n\x1b[2A\x1b[Jc\nd\n\x1b[2A\x1b[Je\n\x1b[1A\x1b[J"
        );
        assert_eq!(written(false, scene), "start\n1\n2\n");
    }
}
