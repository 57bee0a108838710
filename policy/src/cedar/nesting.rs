//! How deep a Cedar text nests. Cedar's parser calls itself once per bracket and has no limit of its own: 256 brackets overflow
//! a stack of 2 MiB and end the process, so the depth is measured before Cedar sees the text.

/// The deepest nesting that is read; far more than people write, far less than the stack bears.
pub(crate) const NESTING_MAX: usize = 32;

/// The deepest nesting of brackets in `text`, strings and comments aside.
pub(crate) fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '(' | '[' | '{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '"' => {
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    if c == '\\' {
                        chars.next();
                    }
                }
            }
            '/' if chars.peek() == Some(&'/') => while chars.next().is_some_and(|c| c != '\n' && c != '\r') {},
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        for (text, depth) in [
            ("", 0),
            ("a", 0),
            ("(a)", 1),
            ("((a) + [b])", 2),
            (r#"("))))" == "(((")"#, 1),
            (r#"("\")))")"#, 1),
            ("( // )))\n(", 2),
            ("( // )))\r(", 2),
            ("a / (b)", 1),
            ("))((", 2),
            (r#"("unfinished ))"#, 1),
        ] {
            assert_eq!(nesting(text), depth, "{text}");
        }
    }
}
