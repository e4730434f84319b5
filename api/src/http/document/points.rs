//! Rows of points and reports, as they are described. Tests hold them against what the query engine gives.

use super::words::{Action, row};
use utoipa::ToSchema;

row! {
    /// The hits of one record, action and response code on one server in one interval.
    DnsPoint {
        /// Start of the interval.
        #[schema(format = DateTime)]
        time: String,
        /// Length of the interval, seconds.
        interval_s: u32,
        /// The server's id.
        server_id: u32,
        /// The server's display name.
        server: String,
        /// The resource of the catalogue that the record belongs to, or 0.
        resource_id: u64,
        /// Owner name: lower case, with a final dot.
        #[schema(example = "www.example.com.")]
        host: String,
        /// Record type.
        #[schema(example = "AAAA")]
        record_type as "type": String,
        /// Whether it stands for messages that were summed up because a table was full; the host is then `<other>`, or
        /// `<other>` and a zone, and no name.
        folded: bool,
        /// `request` or `response`.
        action: Action,
        /// Response code; null for a request.
        #[schema(required)]
        rcode: Option<String>,
        /// DNS messages.
        hits: u64,
        /// Time of the last of them.
        #[schema(format = DateTime)]
        last_access: String,
    }
}

row! {
    /// What a probe reported of one interval.
    CoverageReport {
        /// Start of the interval.
        #[schema(format = DateTime)]
        time: String,
        /// Length of the interval, seconds.
        interval_s: u32,
        /// The server's id.
        server_id: u32,
        /// The server's display name.
        server: String,
        /// The run of the probe, 16 hexadecimal digits.
        epoch: String,
        /// The number of the report in that run.
        seq: u64,
        /// When in the interval the probe began to listen.
        #[schema(format = DateTime)]
        covered_from: String,
        /// When it ceased.
        #[schema(format = DateTime)]
        covered_until: String,
        /// Messages that were counted.
        hits: u64,
        /// DNS messages that were seen.
        messages_seen: u64,
        /// Those that are not counted, such as updates, other classes than IN, and malformed ones.
        not_counted: u64,
        /// Packets that the kernel dropped before the probe could see them.
        kernel_dropped: u64,
        /// Packets that the network interface dropped.
        interface_dropped: u64,
        /// Batches, of DNS or of metrics, that the probe had to give up before this one.
        batches_evicted: u64,
        /// Start of the first interval that was given up.
        #[schema(format = DateTime, required)]
        evicted_from: Option<String>,
        /// End of the last interval that was given up.
        #[schema(format = DateTime, required)]
        evicted_until: Option<String>,
        /// Milliseconds of the coverage that an earlier report of another run of a probe covers, too, as when two probes use one
        /// token: what both saw counts twice.
        overlap_ms: u64,
        /// All other counters that are not zero, as `name=value` with spaces between.
        #[schema(example = "packets_seen=42 opcode_notify=1")]
        losses: String,
        /// Milliseconds of the coverage in which the probe had reason to believe that it did not see the DNS server's messages:
        /// that time is covered, and yet not observed.
        blind_ms: u64,
    }
}
