//! The records of a response: a plain reading of RFC 1035, and messages made of it.
//!
//! The reading allocates as it likes and looks at every octet. It is what ours is held to, and says
//! why a message is none.

use zonepulse_dns::{MessageKind, RecordType, ResponseCode};
use zonepulse_probe::observe::Hit;
use zonepulse_probe::served::{Outcome, Reader};

/// A record of any class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// 0 for the answer section, 1 for the authority section, 2 for the additional section.
    pub section: u8,
    /// Labels, without the root's.
    pub owner: Vec<Vec<u8>>,
    pub record_type: u16,
    pub class: u16,
    pub ttl: [u8; 4],
    pub data: PlainData,
}

/// RDATA, as far as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainData {
    Octets(Vec<u8>),
    /// What stands before a name, the name, what stands after it.
    Name(Vec<u8>, Vec<Vec<u8>>, Vec<u8>),
}

/// Why a message is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Malformed {
    /// It ends too early, or RDATA does.
    Short,
    /// A pointer into the header, where no name is.
    IntoHeader,
    /// A pointer that does not go back.
    Forward,
    /// More pointers than a name can have labels.
    ManyPointers,
    /// More than 255 octets.
    LongName,
    /// A label of an unknown kind.
    Label,
    /// RDATA of another length than the name in it has.
    Data,
}

/// The question and the records of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainMessage {
    /// The first twelve octets.
    pub header: [u8; 12],
    /// The question, as it is in the message.
    pub question: Vec<u8>,
    pub records: Vec<Plain>,
}

/// Reads a response whose question has this length.
pub fn plainly(message: &[u8], question_octets: usize) -> Result<PlainMessage, Malformed> {
    let mut at = 12 + question_octets;
    let mut records = Vec::new();
    for section in 0..3u8 {
        let count_at = 6 + 2 * usize::from(section);
        for _ in 0..u16::from_be_bytes([message[count_at], message[count_at + 1]]) {
            let (owner, fixed_at) = name(message, at)?;
            let fixed = message.get(fixed_at..fixed_at + 10).ok_or(Malformed::Short)?;
            let (record_type, class) = (u16::from_be_bytes([fixed[0], fixed[1]]), u16::from_be_bytes([fixed[2], fixed[3]]));
            let data_at = fixed_at + 10;
            at = data_at + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            let whole = message.get(..at).ok_or(Malformed::Short)?;
            let data = data(record_type, class, whole, data_at)?;
            records.push(Plain { section, owner, record_type, class, ttl: [fixed[4], fixed[5], fixed[6], fixed[7]], data });
        }
    }
    let question = message[12..12 + question_octets].to_vec();
    Ok(PlainMessage { header: *message.first_chunk().expect("a header"), question, records })
}

/// Octets before the name in RDATA, and whether anything may follow it.
fn layout(record_type: u16) -> Option<(usize, bool)> {
    match record_type {
        2 | 5 | 39 => Some((0, false)),
        15 => Some((2, false)),
        33 => Some((6, false)),
        64 | 65 => Some((2, true)),
        _ => None,
    }
}

fn data(record_type: u16, class: u16, whole: &[u8], at: usize) -> Result<PlainData, Malformed> {
    if class == 1 && record_type == 46 && whole.len() < at + 18 {
        return Err(Malformed::Short);
    }
    let Some((before, more)) = layout(record_type).filter(|_| class == 1) else {
        return Ok(PlainData::Octets(whole[at..].to_vec()));
    };
    let start = whole.get(at..at + before).ok_or(Malformed::Short)?;
    let (name, end) = name(whole, at + before)?;
    if end != whole.len() && !more {
        return Err(Malformed::Data);
    }
    Ok(PlainData::Name(start.to_vec(), name, whole[end..].to_vec()))
}

/// The labels of the name at this offset, and what follows it.
fn name(message: &[u8], mut at: usize) -> Result<(Vec<Vec<u8>>, usize), Malformed> {
    let (mut labels, mut end, mut before, mut pointers, mut octets) = (Vec::new(), None, at, 0, 1);
    loop {
        let length = *message.get(at).ok_or(Malformed::Short)?;
        match length >> 6 {
            0 if length == 0 => return Ok((labels, end.unwrap_or(at + 1))),
            0 => {
                octets += 1 + usize::from(length);
                if octets > 255 {
                    return Err(Malformed::LongName);
                }
                let label = message.get(at + 1..at + 1 + usize::from(length)).ok_or(Malformed::Short)?;
                labels.push(label.to_vec());
                at += 1 + usize::from(length);
            }
            3 => {
                let low = *message.get(at + 1).ok_or(Malformed::Short)?;
                end = end.or(Some(at + 2));
                pointers += 1;
                at = usize::from(length & 0x3f) << 8 | usize::from(low);
                match at {
                    ..12 => return Err(Malformed::IntoHeader),
                    at if at >= before => return Err(Malformed::Forward),
                    _ if pointers > 128 => return Err(Malformed::ManyPointers),
                    _ => before = at,
                }
            }
            _ => return Err(Malformed::Label),
        }
    }
}

impl PlainMessage {
    /// The message in wire format: every name written out, or compressed wherever one may point. `None` if
    /// that is too long.
    pub fn encode(&self, compressed: bool) -> Option<Vec<u8>> {
        let mut out = [&self.header[..], &self.question].concat();
        // The question is the first name to point to.
        let mut known: Vec<(Vec<Vec<u8>>, usize)> = Vec::new();
        if let Ok((labels, _)) = name(&out, 12) {
            remember(&mut known, &labels, 12);
        }
        let mut push = |out: &mut Vec<u8>, labels: &[Vec<u8>]| {
            let at = out.len();
            for (number, label) in labels.iter().enumerate() {
                let rest = &labels[number..];
                if let Some((_, target)) = known.iter().find(|(known, _)| compressed && known == rest) {
                    return out.extend((0xc000 | *target as u16).to_be_bytes());
                }
                out.push(label.len() as u8);
                out.extend(label);
            }
            out.push(0);
            remember(&mut known, labels, at);
        };
        for record in &self.records {
            push(&mut out, &record.owner);
            out.extend(record.record_type.to_be_bytes());
            out.extend(record.class.to_be_bytes());
            out.extend(record.ttl);
            let length_at = out.len();
            out.extend([0, 0]);
            match &record.data {
                PlainData::Octets(octets) => out.extend(octets),
                PlainData::Name(before, labels, after) => {
                    out.extend(before);
                    push(&mut out, labels);
                    out.extend(after);
                }
            }
            let length = u16::try_from(out.len() - length_at - 2).ok()?;
            out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        }
        (out.len() <= 65_535).then_some(out)
    }
}

/// Remembers where a name and all above it begin, if a pointer can reach it.
fn remember(known: &mut Vec<(Vec<Vec<u8>>, usize)>, labels: &[Vec<u8>], mut at: usize) {
    for (number, label) in labels.iter().enumerate() {
        // Enough to be pointed to; more would only take time.
        if at >= 0x4000 || known.len() > 64 {
            return;
        }
        known.push((labels[number..].to_vec(), at));
        at += 1 + label.len();
    }
}

/// A credit as it compares: owner in lower case, type, class, whether it may be a wildcard's.
pub type Credited = (Vec<u8>, u16, &'static str, bool);

/// What a response served, in order of owner and type. Each RRset is credited at most once, under a well-formed name.
pub fn served(reader: &mut Reader, message: &[u8], question_octets: usize) -> (Outcome, Vec<Credited>) {
    let mut credits = Vec::new();
    let outcome = reader.read(&hit(message, question_octets), |credit| {
        let mut text = String::new();
        assert!(zonepulse_dns::name::push_text(credit.owner, &mut text), "{:?}", credit.owner);
        let owner = credit.owner.to_ascii_lowercase();
        credits.push((owner, credit.record_type.value(), credit.class.as_str(), credit.may_be_wildcard));
    });
    credits.sort();
    let again = credits.windows(2).find(|two| (&two[0].0, two[0].1) == (&two[1].0, two[1].1));
    assert_eq!(again, None, "credited twice");
    assert!(outcome == Outcome::Read || credits.is_empty());
    (outcome, credits)
}

/// A response as the observer passes it on.
pub fn hit(message: &[u8], question_octets: usize) -> Hit<'_> {
    let (name, fixed) = message[12..12 + question_octets].split_at(question_octets - 4);
    let code = ResponseCode::from_masked(u16::from(message[3] & 0x0f));
    let record_type = RecordType::new(u16::from_be_bytes([fixed[0], fixed[1]]));
    Hit { name, record_type, kind: MessageKind::response(code), time_ms: 0, message }
}

/// Makes a response of any octets, so that few inputs are spent on other messages: QR, QUERY, no TC, one question of class
/// IN. `None` if there is no question. Returns the message and the length of its question.
pub fn response(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut message = input.get(..60_000).unwrap_or(input).to_vec();
    let header = message.first_chunk_mut::<12>()?;
    header[2] = header[2] & 0x05 | 0x80;
    [header[4], header[5]] = [0, 1];
    let mut end = 12;
    loop {
        let length = usize::from(*message.get(end)?);
        end += 1 + length;
        if length > 63 || end > 12 + 255 {
            return None;
        }
        if length == 0 {
            break;
        }
    }
    message.get_mut(end + 2..end + 4)?.copy_from_slice(&[0, 1]);
    Some((message, end + 4 - 12))
}
