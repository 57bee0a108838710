//! An error with its causes, as one line of text: what a person reads on the command line and a program in an answer.

use std::error::Error;

/// An error and its causes in one line; a cause that the text before it already quotes is not said twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use thiserror::Error;

    use super::chain;

    #[derive(Debug, Error)]
    enum Outer {
        #[error("can't read `a`")]
        Silent(#[source] io::Error),
        #[error("can't read `a`: {0}")]
        Quoting(#[source] io::Error),
    }

    #[test]
    fn every_cause_is_said_once() {
        let cause = || io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(chain(&Outer::Silent(cause())), "can't read `a`: permission denied");
        assert_eq!(chain(&Outer::Quoting(cause())), "can't read `a`: permission denied");
    }
}
