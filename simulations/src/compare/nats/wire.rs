//! The NATS client protocol, as much of it as a comparison needs: lines of text, messages with their length.
//!
//! ```text
//! server → client   INFO {json}⏎   PING⏎   PONG⏎   +OK⏎   -ERR 'text'⏎
//!                   MSG  subject sid [reply] length⏎ payload⏎
//!                   HMSG subject sid [reply] header-length length⏎ header payload⏎       header: NATS/1.0[ status …]⏎ …
//! client → server   CONNECT {json}⏎   PING⏎   PONG⏎   SUB subject sid⏎
//!                   PUB subject [reply] length⏎ payload⏎                                 ⏎ is CR LF
//! ```

use std::io::Write;

use bytes::{Buf, Bytes, BytesMut};

/// The longest line that is read: a server's greeting has about 500 bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The longest message that is read. Servers allow 1 MiB unless told otherwise.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Ping,
    Pong,
    /// It closes the connection for this reason.
    Error(String),
    Message(Message),
    /// A greeting or an acknowledgement: nothing to do.
    Other,
}

/// A message for one of our subscriptions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) subject: String,
    /// The subscription's number, which we chose.
    pub(super) subscription: u64,
    /// The status in its header: 503 says that nobody answers to the subject.
    pub(super) status: Option<u16>,
    pub(super) payload: Bytes,
}

/// What can't be from a NATS server.
#[derive(Debug, thiserror::Error)]
#[error("this is not how a NATS server speaks: `{0}`")]
pub(super) struct Malformed(String);

/// Takes the next thing that the server said off the front of `buffer`; `None` when the rest is still on its way.
pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Incoming>, Malformed> {
    let Some(end) = buffer.windows(2).position(|two| two == b"\r\n") else {
        return if buffer.len() > LINE_BYTES_MAX {
            Err(malformed(buffer))
        } else {
            Ok(None)
        };
    };
    let said = buffer.get(..end).unwrap_or_default();
    let head = match parse(said).ok_or_else(|| malformed(said))? {
        Line::Whole(incoming) => {
            buffer.advance(end + 2);
            return Ok(Some(incoming));
        }
        Line::Head(head) => head,
    };
    let whole = end + 2 + head.length + 2;
    if buffer.len() < whole {
        buffer.reserve(whole - buffer.len());
        return Ok(None);
    }
    buffer.advance(end + 2);
    let header = buffer.split_to(head.header);
    let payload = buffer.split_to(head.length - head.header).freeze();
    buffer.advance(2);
    Ok(Some(Incoming::Message(Message {
        subject: head.subject,
        subscription: head.subscription,
        status: status(&header),
        payload,
    })))
}

/// What a line is.
enum Line {
    Whole(Incoming),
    /// A message follows.
    Head(Head),
}

/// Lengths are in bytes; that of the message has that of the header in it.
struct Head {
    subject: String,
    subscription: u64,
    header: usize,
    length: usize,
}

fn parse(line: &[u8]) -> Option<Line> {
    let parts: Vec<&str> = std::str::from_utf8(line).ok()?.split_ascii_whitespace().collect();
    let head = |subject: &str, subscription: &str, header: &str, length: &str| {
        let head = Head {
            subject: subject.to_owned(),
            subscription: subscription.parse().ok()?,
            header: header.parse().ok()?,
            length: length.parse().ok()?,
        };
        (head.header <= head.length && head.length <= MESSAGE_BYTES_MAX).then_some(Line::Head(head))
    };
    Some(match parts.as_slice() {
        ["MSG", subject, subscription, length] | ["MSG", subject, subscription, _, length] => {
            head(subject, subscription, "0", length)?
        }
        ["HMSG", subject, subscription, header, length] | ["HMSG", subject, subscription, _, header, length] => {
            head(subject, subscription, header, length)?
        }
        ["PING"] => Line::Whole(Incoming::Ping),
        ["PONG"] => Line::Whole(Incoming::Pong),
        ["-ERR", why @ ..] => Line::Whole(Incoming::Error(why.join(" "))),
        ["+OK"] | ["INFO", ..] => Line::Whole(Incoming::Other),
        _ => return None,
    })
}

fn status(header: &[u8]) -> Option<u16> {
    let digits = header.strip_prefix(b"NATS/1.0 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(bytes: &[u8]) -> Malformed {
    /// As much as makes the message useful.
    const QUOTED_MAX: usize = 80;
    let quoted = bytes.get(..bytes.len().min(QUOTED_MAX)).unwrap_or_default();
    Malformed(quoted.escape_ascii().to_string())
}

/// Appends a publication that is to be answered to `reply`.
pub(super) fn publish(out: &mut Vec<u8>, subject: &str, reply: &str, payload: &[u8]) {
    // Writing into memory can't fail.
    let _ = write!(out, "PUB {subject} {reply} {}\r\n", payload.len());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends a subscription.
pub(super) fn subscribe(out: &mut Vec<u8>, subject: &str, subscription: u64) {
    let _ = write!(out, "SUB {subject} {subscription}\r\n");
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{Incoming, Message, publish, subscribe, take};

    fn all(bytes: &[u8]) -> Vec<Incoming> {
        let mut buffer = BytesMut::from(bytes);
        std::iter::from_fn(|| take(&mut buffer).unwrap()).collect()
    }

    #[test]
    fn what_a_server_says_is_understood_however_it_is_cut() {
        let said = b"INFO {\"a\":1}\r\nPING\r\nMSG s.t 7 4\r\na\r\nb\r\nMSG s 8 back.1 0\r\n\r\n\
            HMSG in.3 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\nPONG\r\n+OK\r\n-ERR 'no such thing'\r\n";
        let message = |subject: &str, subscription, status, payload: &'static [u8]| {
            Incoming::Message(Message {
                subject: subject.to_owned(),
                subscription,
                status,
                payload: payload.into(),
            })
        };
        let meant = [
            Incoming::Other,
            Incoming::Ping,
            message("s.t", 7, None, b"a\r\nb"),
            message("s", 8, None, b""),
            message("in.3", 1, Some(503), b""),
            Incoming::Pong,
            Incoming::Other,
            Incoming::Error("'no such thing'".to_owned()),
        ];
        assert_eq!(all(said), meant);
        // Byte by byte: nothing is taken before it is whole.
        let mut buffer = BytesMut::new();
        let mut heard = Vec::new();
        for byte in said {
            buffer.extend_from_slice(&[*byte]);
            while let Some(incoming) = take(&mut buffer).unwrap() {
                heard.push(incoming);
            }
        }
        assert_eq!(heard, meant);
    }

    #[test]
    fn what_no_server_says_is_refused() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"MSG s x 4\r\n",
            b"MSG s 1 -4\r\n",
            b"MSG s 1 99999999999\r\n",
            b"HMSG s 1 9 4\r\n",
            b"\xff\r\n",
            &[b'x'; 70_000],
        ] {
            assert!(take(&mut BytesMut::from(bytes)).is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_we_say() {
        let mut out = Vec::new();
        subscribe(&mut out, "in.*", 1);
        publish(&mut out, "cases", "in.5", b"x\r\ny");
        assert_eq!(out, b"SUB in.* 1\r\nPUB cases in.5 4\r\nx\r\ny\r\n");
    }
}
