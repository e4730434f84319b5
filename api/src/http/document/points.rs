//! Rows of points and reports.

use super::rows::row;

row! {
    /// The hits of one record, action and response code on one server in one interval.
    DnsPoint {
        /// Start of the interval.
        Time,
        /// Length of the interval, seconds.
        IntervalS,
        /// The server's id.
        ServerId,
        /// The server's display name.
        Server,
        /// The id of the catalogue's resource that the record belongs to, or 0.
        ResourceId,
        /// Owner name, in lower case with a final dot.
        Host = "www.example.com.",
        /// Record type.
        Type = "AAAA",
        /// Whether it stands for messages that were counted together because a table was full; the host is then `<other>`,
        /// or `<other>` and a zone, rather than a name.
        Folded,
        /// `request` or `response`.
        Action,
        /// Response code; null for a request.
        Rcode or null,
        /// DNS messages.
        Hits,
        /// Time of the last message.
        LastAccess,
    }
}

row! {
    /// A probe's report about one interval.
    CoverageReport {
        /// Start of the interval.
        Time,
        /// Length of the interval, seconds.
        IntervalS,
        /// The server's id.
        ServerId,
        /// The server's display name.
        Server,
        /// The run of the probe, as 16 hexadecimal digits.
        Epoch,
        /// The number of the report within that run.
        Seq,
        /// When the probe began to listen in the interval.
        CoveredFrom,
        /// When it stopped.
        CoveredUntil,
        /// DNS messages counted.
        Hits,
        /// DNS messages seen.
        MessagesSeen,
        /// DNS messages not counted, such as updates, classes other than IN, and malformed messages.
        NotCounted,
        /// Packets dropped by the kernel before the probe could see them.
        KernelDropped,
        /// Packets dropped by the network interface.
        InterfaceDropped,
        /// Batches of DNS or metrics that the probe had to discard before this one.
        BatchesEvicted,
        /// Start of the first discarded interval.
        EvictedFrom or null,
        /// End of the last discarded interval.
        EvictedUntil or null,
        /// Milliseconds of the coverage that an earlier report of another run of a probe covers as well, as when two probes use
        /// the same token: what both saw counts twice.
        OverlapMs,
        /// All other counters that are not zero, as `name=value` separated by spaces.
        Losses = "packets_seen=42 opcode_notify=1",
        /// Milliseconds of the coverage in which the probe had reason to believe that it did not see the DNS server's messages:
        /// that time is covered but not observed.
        BlindMs,
    }
}
