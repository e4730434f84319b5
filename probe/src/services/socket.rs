//! A question to a service over its control socket: for statistics here, for its version in heartbeats.

use super::Problem;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time for everything: connecting, sending the question and reading the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The answer to a question, as a reader that fails when the time is over.
#[derive(Debug)]
pub(crate) struct Answer {
    stream: UnixStream,
    until: Instant,
}

/// Connects and sends a question.
pub(super) fn ask(path: &Path, question: &[u8]) -> Result<Answer, Problem> {
    ask_within(path, question, TIMEOUT)
}

/// The same with another limit.
pub(crate) fn ask_within(path: &Path, question: &[u8], timeout: Duration) -> Result<Answer, Problem> {
    let until = Instant::now() + timeout;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Also limits how long connecting waits for a server that no longer accepts connections.
    socket.set_write_timeout(Some(timeout))?;
    socket.connect(&SockAddr::unix(path)?)?;
    let mut stream = UnixStream::from(OwnedFd::from(socket));
    stream.write_all(question)?;
    Ok(Answer { stream, until })
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

/// A reader that fails after a number of bytes. Unlike [`io::Take`], it does not pretend that the
/// input ends there.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    reader: R,
    left: usize,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(reader: R, max_bytes: usize) -> Bounded<R> {
        Bounded { reader, left: max_bytes }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(length).ok_or_else(|| io::Error::other("its answer is too long"))?;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use tempfile::TempDir;

    fn socket() -> (TempDir, UnixListener, std::path::PathBuf) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("socket");
        (dir, UnixListener::bind(&path).unwrap(), path)
    }

    fn read(path: &Path, timeout: Duration) -> Result<String, Problem> {
        let mut text = String::new();
        ask_within(path, b"?", timeout)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_service_that_is_absent_gone_or_silent_is_told_apart() {
        let (dir, listener, path) = socket();
        let short = Duration::from_millis(50);
        assert_eq!(read(&dir.path().join("none"), short), Err(Problem::Absent));
        assert_eq!(read(&path, short), Err(Problem::new("it does not answer in time")));
        drop(listener);
        assert_eq!(read(&path, short), Err(Problem::new("nothing listens on the socket")));
    }

    #[test]
    fn a_service_that_sends_little_by_little_is_given_up_in_time() {
        let (_dir, listener, path) = socket();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Until the other side is gone.
            while stream.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let began = Instant::now();
        assert_eq!(read(&path, Duration::from_millis(200)), Err(Problem::new("it does not answer in time")));
        assert!(began.elapsed() < Duration::from_secs(5));
        server.join().unwrap();
    }

    #[test]
    fn connecting_to_a_service_that_accepts_nothing_is_given_up_in_time() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("socket");
        let address = SockAddr::unix(&path).unwrap();
        let new = || Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        let listener = new();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        // The kernel keeps a few connections that have not been accepted.
        let connect = || {
            let socket = new();
            socket.set_nonblocking(true).unwrap();
            socket.connect(&address).ok().map(|()| socket)
        };
        let waiting: Vec<Socket> = (0..10).map_while(|_| connect()).collect();
        assert!(waiting.len() < 10);
        assert_eq!(read(&path, Duration::from_millis(50)), Err(Problem::new("it does not answer in time")));
    }

    #[test]
    fn an_answer_that_is_too_long_is_not_taken_for_a_complete_one() {
        let mut text = Vec::new();
        assert!(Bounded::new(&b"12345"[..], 5).read_to_end(&mut text).is_ok());
        assert!(Bounded::new(&b"123456"[..], 5).read_to_end(&mut text).is_err());
    }
}
