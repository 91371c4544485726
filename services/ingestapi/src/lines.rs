//! Cuts a stream of bytes into lines, each bounded, without ever holding more than one.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};

/// One line, without its end. A line that is longer than the limit is skipped to its end and given as `TooLong`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(Bytes),
    TooLong,
}

/// Reads lines from a body.
pub(crate) struct Lines<S> {
    body: S,
    buffer: BytesMut,
    limit: usize,
    /// The rest of a line that was too long is on its way.
    is_skipping: bool,
    is_over: bool,
}

impl<S, E> Lines<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    pub(crate) fn new(body: S, limit: usize) -> Self {
        Self { body, buffer: BytesMut::new(), limit, is_skipping: false, is_over: false }
    }

    /// The next line; `None` at the end. A last line without an end counts.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, E> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.is_over {
                let rest = self.buffer.split().freeze();
                let is_line = !rest.is_empty() && !std::mem::take(&mut self.is_skipping);
                return Ok(is_line.then_some(Line::Text(rest)));
            }
            match self.body.next().await.transpose()? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => self.is_over = true,
            }
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        loop {
            let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
                return self.skip_if_too_long();
            };
            let line = self.buffer.split_to(end + 1).freeze().slice(..end);
            if std::mem::take(&mut self.is_skipping) {
                continue;
            }
            return Some(if line.len() > self.limit { Line::TooLong } else { Line::Text(line) });
        }
    }

    fn skip_if_too_long(&mut self) -> Option<Line> {
        if self.is_skipping {
            self.buffer.clear();
            return None;
        }
        (self.buffer.len() > self.limit).then(|| {
            self.buffer.clear();
            self.is_skipping = true;
            Line::TooLong
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    async fn lines(pieces: &[&'static str], limit: usize) -> Vec<String> {
        let body = stream::iter(
            pieces.iter().map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes()))).collect::<Vec<_>>(),
        );
        let mut lines = Lines::new(body, limit);
        let mut found = Vec::new();
        while let Ok(Some(line)) = lines.next().await {
            found.push(match line {
                Line::Text(text) => String::from_utf8_lossy(&text).into_owned(),
                Line::TooLong => "(too long)".into(),
            });
        }
        found
    }

    #[tokio::test]
    async fn lines_are_the_same_however_the_body_is_cut() {
        let whole = lines(&["one\ntwo\n\nthree"], 10).await;
        assert_eq!(whole, ["one", "two", "", "three"]);
        assert_eq!(lines(&["o", "ne\nt", "wo", "\n", "\nthr", "ee"], 10).await, whole);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_one_fault_and_the_next_is_read() {
        for pieces in [&["0123456789abcdef\nok\n"][..], &["012345", "6789abc", "def", "\no", "k\n"]] {
            assert_eq!(lines(pieces, 8).await, ["(too long)", "ok"]);
        }
        assert_eq!(lines(&["0123456789", "no end"], 8).await, ["(too long)"]);
    }
}
