//! Queries the version of a Kea server over its control socket.
//!
//! The command is a JSON object, `{"command": "version-get"}`. The answer is another object with
//! `result` 0 on success and the version as `text`, after which the socket is closed.

use super::chaos::clean;
use crate::services::socket::ask_within;
use serde::Deserialize;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(500);
/// Read limit for the answer, bytes.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// The server's version, if it answers.
pub(super) fn version(socket: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        result: i64,
        #[serde(default)]
        text: String,
    }
    let answer = ask_within(socket, br#"{"command":"version-get"}"#, PATIENCE).ok()?;
    let mut text = Vec::new();
    // A server that keeps the socket open runs into the timeout; what it has sent counts.
    let _ = answer.take(MAX_ANSWER_BYTES).read_to_end(&mut text);
    let answer: Answer = serde_json::from_slice(&text).ok()?;
    if answer.result == 0 { clean(&answer.text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    /// Answers one command as described in Kea's documentation.
    fn answer_with(answer: &'static str) -> Option<String> {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut command = [0; 25];
            stream.read_exact(&mut command).unwrap();
            assert_eq!(&command, br#"{"command":"version-get"}"#);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let version = version(&path);
        server.join().unwrap();
        version
    }

    #[test]
    fn the_version_is_the_server_s_answer() {
        let answer = r#"{ "arguments": { "extended": "2.4.1\nmore" }, "result": 0, "text": "2.4.1" }"#;
        assert_eq!(answer_with(answer).as_deref(), Some("2.4.1"));
        assert_eq!(answer_with(r#"{ "result": 1, "text": "unable" }"#), None);
        assert_eq!(answer_with("rubbish"), None);
        assert_eq!(version(Path::new("/nonexistent")), None);
    }
}
