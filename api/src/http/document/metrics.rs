//! Rows of metrics.

use super::rows::row;

row! {
    /// The value of a metric on one server in one slot.
    SystemPoint {
        /// Start of the slot.
        Time,
        /// The server's id.
        ServerId,
        /// The server's display name.
        Server,
        /// The metric.
        Metric = "cpu_percent",
        /// Core, mount point, device or state; empty if there is only one.
        Label = "total",
        /// The value, in the unit at the end of the metric's name.
        Value,
    }
}

row! {
    /// The values of a metric on one server in one bucket.
    SystemBucket {
        /// Start of the bucket or day.
        Time,
        /// The server's id.
        ServerId,
        /// The server's display name.
        Server,
        /// The metric.
        Metric = "disk_free_bytes",
        /// Core, mount point, device or state; empty if there is only one.
        Label = "/var",
        /// Minimum.
        Min,
        /// Maximum.
        Max,
        /// Mean.
        Avg,
        /// The most recent value.
        Last,
        /// Number of values.
        Count,
    }
}

row! {
    /// A metric and one of its labels.
    SystemMetric {
        /// The metric.
        Metric = "tcp_connections",
        /// Core, mount point, device or state; empty if there is only one.
        Label = "established",
    }
}
