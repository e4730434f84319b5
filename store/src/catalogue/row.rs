//! A resource as a caller imports it.

use super::owner::{MAX_OWNER, owner_of_text};
use super::value::put_data;
use crate::Error;
use zonepulse_codec::put;
use zonepulse_dns::RecordType;

/// Maximum size of a resource's RDATAs, in bytes.
const MAX_RDATAS_BYTES: usize = 1 << 20;

/// One RRset to import. Its buffers are reused from one to the next: [`Row::set_owner`] where the owner differs from that
/// of the row before, then [`Row::set`].
#[derive(Debug, Clone)]
pub struct Row {
    /// Owner and type, as they end a key.
    pub(super) place: Vec<u8>,
    owner_bytes: usize,
    pub(super) owner: String,
    pub(super) rtype: RecordType,
    pub(super) data: Vec<u8>,
    rdatas: Vec<u8>,
    is_sorted: bool,
    /// Whether there is no such resource any more.
    pub(super) is_gone: bool,
}

impl Default for Row {
    fn default() -> Self {
        Row {
            place: Vec::new(),
            owner_bytes: 0,
            owner: String::new(),
            rtype: RecordType::new(0),
            data: Vec::new(),
            rdatas: Vec::new(),
            is_sorted: true,
            is_gone: false,
        }
    }
}

impl Row {
    /// Sets the owner: as a key (the labels from right to left, see `database/key.rs`) and as canonical text.
    pub fn set_owner(&mut self, key: &[u8], text: &str) {
        self.place.clear();
        self.place.extend_from_slice(key);
        self.owner_bytes = key.len();
        self.owner.clear();
        self.owner.push_str(text);
    }

    /// Sets type, TTL in seconds, and RDATAs in wire format, sorted and canonical (RFC 4034 sections 6.2 and 6.3), so
    /// that equal RRsets are equal octets.
    pub fn set<'a>(&mut self, rtype: RecordType, ttl: u32, rdatas: impl IntoIterator<Item = &'a [u8]>) {
        self.begin(rtype);
        let (mut count, mut last) = (0, None);
        for rdata in rdatas {
            self.is_sorted &= last.is_none_or(|last| last < rdata);
            last = Some(rdata);
            put(&mut self.rdatas, rdata.len() as u64);
            self.rdatas.extend_from_slice(rdata);
            self.is_sorted &= rdata.len() <= usize::from(u16::MAX);
            count += 1;
        }
        self.data.clear();
        put_data(&mut self.data, ttl, count, &self.rdatas);
    }

    /// Says that there is no RRset of this type any more, for [`Catalogue::change`](super::Catalogue::change).
    pub fn set_gone(&mut self, rtype: RecordType) {
        self.begin(rtype);
        self.data.clear();
        self.is_gone = true;
    }

    fn begin(&mut self, rtype: RecordType) {
        self.place.truncate(self.owner_bytes);
        push_type(&mut self.place, rtype);
        self.rtype = rtype;
        self.rdatas.clear();
        (self.is_sorted, self.is_gone) = (true, false);
    }

    /// Rejects a row that is not what its fields promise.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.owner_bytes > MAX_OWNER {
            return Err(Error::BadIntake("owner of a resource"));
        }
        if !self.is_sorted {
            return Err(Error::BadIntake("RDATAs of a resource: they must be sorted and distinct"));
        }
        if self.data.len() > MAX_RDATAS_BYTES {
            return Err(Error::BadIntake("RDATAs of a resource: more than a mebibyte"));
        }
        Ok(())
    }

    /// Rejects an owner whose key and text differ.
    pub(super) fn check_owner(&self) -> Result<(), Error> {
        let is_same = owner_of_text(&self.owner).as_deref() == self.place.get(..self.owner_bytes);
        let is_canonical = zonepulse_dns::name::is_canonical(&self.owner);
        if is_same && is_canonical { Ok(()) } else { Err(Error::BadIntake("owner of a resource: key and text differ")) }
    }
}

pub(crate) fn push_type(place: &mut Vec<u8>, rtype: RecordType) {
    place.push(0);
    place.extend_from_slice(&rtype.value().to_be_bytes());
}

/// Owner and type of a resource, as they end its key.
pub(crate) fn place(owner: &[u8], rtype: RecordType) -> Vec<u8> {
    let mut place = Vec::with_capacity(owner.len() + 3);
    place.extend_from_slice(owner);
    push_type(&mut place, rtype);
    place
}

/// Splits owner and type.
pub(crate) fn parse_place(place: &[u8]) -> Option<(&[u8], RecordType)> {
    let (owner, end) = place.split_last_chunk::<3>()?;
    let [zero, high, low] = *end;
    let is_owner = owner.last().is_none_or(|last| *last == 0);
    (zero == 0 && is_owner).then(|| (owner, RecordType::new(u16::from_be_bytes([high, low]))))
}
