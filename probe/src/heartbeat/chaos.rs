//! Queries a DNS server's version and identity: `version.bind. CH TXT` and `id.server. CH TXT` (RFC
//! 4892).
//!
//! Each query is sent once per server process. A response may be arbitrarily late: its socket stays
//! open until then and is checked with each heartbeat. A server that refuses one query is sent no
//! more. Queries are announced to capture and dnstap first ([`OwnQuestions`]), so that they are not
//! counted as a client's.

use crate::observe::OwnQuestions;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// A server on the same machine answers at once.
const PATIENCE: Duration = Duration::from_millis(500);
/// Timeout when checking for a late response.
const LOOK: Duration = Duration::from_millis(1);
/// Read limit for a response, octets.
const MAX_ANSWER: usize = 4096;
/// Maximum length of a version or identity, characters.
const MAX_TEXT: usize = 100;

/// What a program says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) version: Option<String>,
    pub(super) identity: Option<String>,
}

/// The progress of an inquiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All responses that will come have been received.
    Done,
    /// A response may still come.
    Waiting,
    /// Nothing listens on the port.
    Nobody,
}

/// The inquiry of one server process.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    step: Step,
    /// The pending query.
    open: Option<Question>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Step {
    /// BIND's name for the version, which all servers support.
    #[default]
    Version,
    /// The standard name for the identity.
    Identity,
    /// BIND's name for the identity, if the standard one has no answer.
    Hostname,
    Done,
}

/// A query that was sent.
#[derive(Debug)]
struct Question {
    socket: UdpSocket,
    id: u16,
}

enum Reply {
    Text(String),
    Empty,
    /// A response code other than NOERROR, or an invalid response.
    Refused,
    NotYet(Question),
    Nobody,
}

impl Inquiry {
    /// Sends the next queries and reads responses. Takes at most two seconds.
    pub(super) fn go_on(&mut self, server: SocketAddr, own: &OwnQuestions, said: &mut Said) -> Progress {
        while let Some(name) = self.step.name() {
            let reply = match self.open.take() {
                Some(question) => question.reply(LOOK),
                None => ask(server, name, own).map_or(Reply::Nobody, |question| question.reply(PATIENCE)),
            };
            self.step = match (self.step, reply) {
                (_, Reply::Nobody) => return Progress::Nobody,
                (_, Reply::NotYet(question)) => {
                    self.open = Some(question);
                    return Progress::Waiting;
                }
                (_, Reply::Refused) => Step::Done,
                (Step::Version, reply) => {
                    said.version = reply.text().and_then(|text| clean(&text));
                    Step::Identity
                }
                (Step::Identity, Reply::Empty) => Step::Hostname,
                (_, reply) => {
                    said.identity = reply.text().and_then(|text| printable(&text));
                    Step::Done
                }
            };
        }
        Progress::Done
    }
}

impl Step {
    fn name(self) -> Option<&'static str> {
        match self {
            Step::Version => Some("version.bind."),
            Step::Identity => Some("id.server."),
            Step::Hostname => Some("hostname.bind."),
            Step::Done => None,
        }
    }
}

impl Reply {
    fn text(self) -> Option<String> {
        if let Reply::Text(text) = self { Some(text) } else { None }
    }
}

fn ask(server: SocketAddr, name: &str, own: &OwnQuestions) -> Option<Question> {
    let from: SocketAddr = if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(server).ok()?;
    let mut query = Query::query(Name::from_ascii(name).ok()?, RecordType::TXT);
    query.set_query_class(DNSClass::CH);
    // Hashers have random seeds.
    let id = (RandomState::new().hash_one(name) % 65_536) as u16;
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.add_query(query);
    let octets = question.to_vec().ok()?;
    own.expect(&octets);
    socket.send(&octets).ok()?;
    Some(Question { socket, id })
}

impl Question {
    fn reply(self, patience: Duration) -> Reply {
        let mut buffer = [0; MAX_ANSWER];
        if self.socket.set_read_timeout(Some(patience)).is_err() {
            return Reply::Refused;
        }
        let length = match self.socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => return Reply::NotYet(self),
                // The system reports that nothing listens on the port.
                ErrorKind::ConnectionRefused => return Reply::Nobody,
                _ => return Reply::Refused,
            },
        };
        let Some(answer) = buffer.get(..length).and_then(|octets| Message::from_vec(octets).ok()) else { return Reply::Refused };
        if answer.metadata.id != self.id {
            return Reply::NotYet(self);
        }
        if answer.metadata.response_code != ResponseCode::NoError {
            return Reply::Refused;
        }
        let text = answer.answers.iter().find_map(|record| match &record.data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        });
        text.map_or(Reply::Empty, Reply::Text)
    }
}

/// The version alone if there is more text: `3.4.6` of `Knot DNS 3.4.6`.
pub(super) fn clean(text: &str) -> Option<String> {
    let number = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    printable(number.unwrap_or(text))
}

fn printable(text: &str) -> Option<String> {
    let text: String = text.trim().chars().filter(|letter| !letter.is_control()).take(MAX_TEXT).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_alone() {
        assert_eq!(clean("Knot DNS 3.4.6").as_deref(), Some("3.4.6"));
        assert_eq!(clean("9.18.28-1~deb12u2-Debian").as_deref(), Some("9.18.28-1~deb12u2-Debian"));
        assert_eq!(clean("unbound 1.17.1").as_deref(), Some("1.17.1"));
        assert_eq!(clean("none of your\u{7} business").as_deref(), Some("none of your business"));
        assert_eq!(clean(""), None);
    }

    #[test]
    fn an_identity_is_reported_unchanged_up_to_a_length() {
        assert_eq!(printable(" ns 1\n").as_deref(), Some("ns 1"));
        assert_eq!(printable(&"x".repeat(300)).map(|text| text.len()), Some(MAX_TEXT));
        assert_eq!(printable("\u{7}"), None);
    }

    /// A server that answers one query after the other as given, and returns the queries.
    fn server(answers: Vec<Answer>) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let address = socket.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let (mut asked, mut answers) = (Vec::new(), answers.into_iter());
            let mut buffer = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let mut message = Message::from_vec(&buffer[..length]).unwrap();
                let query = message.queries[0].clone();
                assert_eq!((query.query_class(), query.query_type()), (DNSClass::CH, RecordType::TXT));
                asked.push(query.name().to_string());
                let Some(answer) = answers.next() else { continue };
                message.metadata.message_type = MessageType::Response;
                if let Answer::Late(pause, _) = answer {
                    std::thread::sleep(pause);
                }
                match answer {
                    Answer::Code(code) => message.metadata.response_code = code,
                    Answer::Text(text) | Answer::Late(_, text) => {
                        let text = RData::TXT(hickory_proto::rr::rdata::TXT::new(vec![text.to_owned()]));
                        message.add_answer(hickory_proto::rr::Record::from_rdata(query.name().clone(), 0, text));
                    }
                }
                socket.send_to(&message.to_vec().unwrap(), client).unwrap();
            }
            asked
        });
        (address, answering)
    }

    enum Answer {
        Code(ResponseCode),
        Text(&'static str),
        Late(Duration, &'static str),
    }

    /// The results of an inquiry checked this often, and the queries the server received.
    fn inquire(answers: Vec<Answer>, looks: usize) -> (Said, Vec<String>, Progress) {
        let (address, answering) = server(answers);
        let (mut inquiry, mut said, mut progress) = (Inquiry::default(), Said::default(), Progress::Nobody);
        for _ in 0..looks {
            progress = inquiry.go_on(address, &OwnQuestions::default(), &mut said);
            std::thread::sleep(Duration::from_millis(50));
        }
        (said, answering.join().unwrap(), progress)
    }

    #[test]
    fn a_server_is_asked_once_for_version_and_identity() {
        let (said, asked, progress) = inquire(vec![Answer::Text("Knot DNS 3.4.6"), Answer::Text("ns1")], 3);
        assert_eq!(said, Said { version: Some("3.4.6".into()), identity: Some("ns1".into()) });
        assert_eq!((asked, progress), (vec!["version.bind.".to_owned(), "id.server.".to_owned()], Progress::Done));
    }

    #[test]
    fn a_server_that_refuses_is_asked_once_and_nothing_more() {
        for code in [ResponseCode::Refused, ResponseCode::NotImp, ResponseCode::ServFail, ResponseCode::NXDomain] {
            let (said, asked, progress) = inquire(vec![Answer::Code(code)], 4);
            assert_eq!((said, asked, progress), (Said::default(), vec!["version.bind.".to_owned()], Progress::Done), "{code}");
        }
    }

    #[test]
    fn a_server_without_id_server_is_asked_for_hostname_bind() {
        let answers = vec![Answer::Code(ResponseCode::NoError), Answer::Code(ResponseCode::NoError), Answer::Text("ns2")];
        let (said, asked, _) = inquire(answers, 2);
        assert_eq!(said, Said { version: None, identity: Some("ns2".into()) });
        assert_eq!(asked, ["version.bind.", "id.server.", "hostname.bind."]);
    }

    #[test]
    fn a_server_that_is_silent_is_asked_once() {
        let (said, asked, progress) = inquire(Vec::new(), 4);
        assert_eq!((said, asked, progress), (Said::default(), vec!["version.bind.".to_owned()], Progress::Waiting));
    }

    #[test]
    fn a_late_response_is_taken() {
        let answers = vec![Answer::Late(PATIENCE + Duration::from_millis(100), "NSD 4.8"), Answer::Code(ResponseCode::Refused)];
        let (said, asked, progress) = inquire(answers, 8);
        assert_eq!(said.version.as_deref(), Some("4.8"));
        assert_eq!((asked, progress), (vec!["version.bind.".to_owned(), "id.server.".to_owned()], Progress::Done));
    }

    #[test]
    fn a_port_without_a_listener_is_cheap_to_ask() {
        let began = std::time::Instant::now();
        let (mut inquiry, mut said) = (Inquiry::default(), Said::default());
        let nobody = "127.0.0.1:1".parse().unwrap();
        assert_eq!(inquiry.go_on(nobody, &OwnQuestions::default(), &mut said), Progress::Nobody);
        assert_eq!(said, Said::default());
        assert!(began.elapsed() < PATIENCE);
    }
}
