// Written by `npm run types` from api/openapi.json. Do not edit.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @enum {string} */
        Action: "request" | "response";
        /** @description An address at which probes can reach this central. */
        AddressRow: {
            /** @description Whether it comes from the configuration, or is an address of this machine on which the central listens. */
            source: components["schemas"]["Source"];
            /**
             * @description The address.
             * @example https://192.0.2.1:8053
             */
            url: string;
        };
        /** @description A record of a plan that was asked for after it was marked. */
        AlertBody: {
            /** @description Its owner. */
            host: string;
            /**
             * Format: date-time
             * @description When it was last asked for.
             */
            last_access: string;
            /**
             * Format: int32
             * @description The resource.
             */
            resource_id: number;
            /** @description Its name. */
            retirement: string;
            /**
             * Format: int32
             * @description The plan.
             */
            retirement_id: number;
            /** @description How far it got. */
            stage: components["schemas"]["StageWord"];
            /** @description Its type. */
            type: string;
            /** @description The zone's apex. */
            zone: string;
        };
        /** @description A change. */
        AuditRow: {
            /**
             * @description What was done.
             * @example server.change
             */
            action: string;
            /** @description The changed values as they are now; null if there are none. */
            after: unknown;
            /** @description The changed values as they were; null if there were none. Secrets are not shown, only that they changed. */
            before: unknown;
            /** @description Where it came from. */
            from: string;
            /**
             * Format: int64
             * @description Its number, which increases by one.
             */
            id: number;
            /**
             * Format: date-time
             * @description When it was made.
             */
            time: string;
            /**
             * @description What was changed.
             * @example server 1, "ns1"
             */
            what: string;
            /** @description Who made it: a user, a server's probe, or the command line. */
            who: string;
        };
        /**
         * @description Whether a backup needed objects of earlier ones.
         * @enum {string}
         */
        BackupKind: "full" | "incremental";
        /** @description A backup. */
        BackupRow: {
            /**
             * @description Its name.
             * @example 20261128T020000Z-5d0f3a21
             */
            backup_id: string;
            /** @description Where it is stored. */
            destination: string;
            /**
             * Format: int64
             * @description Of one that is running, bytes of files that are saved; null otherwise.
             */
            done_bytes?: number | null;
            /**
             * Format: int64
             * @description How long it took, or has taken so far, milliseconds.
             */
            duration_ms: number;
            /** @description Why it failed or is damaged; null if neither. */
            error?: string | null;
            kind?: components["schemas"]["BackupKind"] | null;
            /**
             * Format: int64
             * @description Bytes that it added to those of earlier ones; null if it is not complete.
             */
            new_bytes?: number | null;
            /** @description The version of the program that made it; null if it is not complete. */
            program_version?: string | null;
            /** @description The public keys to which it is encrypted. */
            recipients: string[];
            /**
             * Format: int64
             * @description Bytes of all its objects; null if it is not complete.
             */
            size_bytes?: number | null;
            state: components["schemas"]["BackupState"];
            /**
             * Format: date-time
             * @description The time whose state it holds; of one that is running or has failed, when it began.
             */
            time: string;
            /**
             * Format: int64
             * @description Of one that is running, bytes of files that are to be saved, as far as is known; null otherwise.
             */
            total_bytes?: number | null;
            /** @description Whether all its objects are there in full, each of which was read back and compared when it was stored. */
            verified: boolean;
        };
        /**
         * @description How a backup is.
         * @enum {string}
         */
        BackupState: "running" | "complete" | "damaged" | "failed";
        /** @description A reason to believe that a running probe does not see all messages of the DNS server. */
        BlindnessBody: {
            /** @description What was found and what to do. */
            detail: string;
            /**
             * @description Which one: `other_sockets` (the DNS server listens on ports or addresses that are not observed), `other_ports` (DNS
             *     messages use ports that are not observed), `no_message` (none since the probe started), `no_responses` (only requests
             *     are seen), `no_requests` (only responses are seen), or `unknown` for a reason of a later version of the probe.
             * @example other_sockets
             */
            reason: string;
        };
        /** @description Whether DNS messages are being counted. */
        CaptureBody: {
            /**
             * @description Why the counts may be missing messages of the DNS server although messages are being counted; empty if nothing
             *     suggests so.
             */
            blind?: components["schemas"]["BlindnessBody"][];
            /** @description Why they are not; otherwise anything that readers of the counts should know. */
            detail?: string | null;
            /** @description Whether they are. */
            state: components["schemas"]["StateWord"];
        };
        /** @enum {string} */
        Communication: "http" | "rabbitmq" | "pull";
        /** @description A service. */
        ComponentBody: {
            /** @description The identity it reports (`id.server`), which distinguishes servers that look alike; null if it does not. */
            identity?: string | null;
            /** @description The program, such as `knotd`. */
            name?: string | null;
            /** @description Whether it is running. */
            state: components["schemas"]["StateWord"];
            /** @description The version it reports; null if it does not. */
            version?: string | null;
        };
        /** @description The services on a managed server; null if not installed. */
        ComponentsBody: {
            backup?: components["schemas"]["ComponentBody"] | null;
            dhcp4?: components["schemas"]["ComponentBody"] | null;
            dhcp6?: components["schemas"]["ComponentBody"] | null;
            dns?: components["schemas"]["ComponentBody"] | null;
            monitor?: components["schemas"]["ComponentBody"] | null;
        };
        /** @description A probe's report about one interval. */
        CoverageReport: {
            /**
             * Format: int64
             * @description Batches of DNS or metrics that the probe had to discard before this one.
             */
            batches_evicted: number;
            /**
             * Format: int64
             * @description Milliseconds of the coverage in which the probe had reason to believe that it did not see the DNS server's messages:
             *     that time is covered but not observed.
             */
            blind_ms: number;
            /**
             * Format: date-time
             * @description When the probe began to listen in the interval.
             */
            covered_from: string;
            /**
             * Format: date-time
             * @description When it stopped.
             */
            covered_until: string;
            /** @description The run of the probe, as 16 hexadecimal digits. */
            epoch: string;
            /**
             * Format: date-time
             * @description Start of the first discarded interval.
             */
            evicted_from: string | null;
            /**
             * Format: date-time
             * @description End of the last discarded interval.
             */
            evicted_until: string | null;
            /**
             * Format: int64
             * @description DNS messages counted.
             */
            hits: number;
            /**
             * Format: int64
             * @description Packets dropped by the network interface.
             */
            interface_dropped: number;
            /**
             * Format: int32
             * @description Length of the interval, seconds.
             */
            interval_s: number;
            /**
             * Format: int64
             * @description Packets dropped by the kernel before the probe could see them.
             */
            kernel_dropped: number;
            /**
             * @description All other counters that are not zero, as `name=value` separated by spaces.
             * @example packets_seen=42 opcode_notify=1
             */
            losses: string;
            /**
             * Format: int64
             * @description DNS messages seen.
             */
            messages_seen: number;
            /**
             * Format: int64
             * @description DNS messages not counted, such as updates, classes other than IN, and malformed messages.
             */
            not_counted: number;
            /**
             * Format: int64
             * @description Milliseconds of the coverage that an earlier report of another run of a probe covers as well, as when two probes use
             *     the same token: what both saw counts twice.
             */
            overlap_ms: number;
            /**
             * Format: int64
             * @description The number of the report within that run.
             */
            seq: number;
            /** @description The server's display name. */
            server: string;
            /**
             * Format: int32
             * @description The server's id.
             */
            server_id: number;
            /**
             * Format: date-time
             * @description Start of the interval.
             */
            time: string;
        };
        /** @enum {string} */
        Credential: "enrollment_token" | "token";
        /** @description A run of a server's diagnostics. */
        DiagnosticsRun: {
            /** @description Why it ended without a result; otherwise null. */
            detail: string | null;
            /**
             * Format: date-time
             * @description When it ended; null if it has not.
             */
            ended: string | null;
            /** @description What was checked, and what was found; empty without a result. */
            findings: components["schemas"]["Finding"][];
            /** @description The version of the probe; null if none was ever heard from. */
            probe_version: string | null;
            /**
             * Format: date-time
             * @description When it was requested.
             */
            requested: string;
            /** @description Who requested it. */
            requested_by: string;
            /**
             * Format: int64
             * @description The number of the run.
             */
            run: number;
            /**
             * Format: date-time
             * @description When the probe first got the order; null if it has not.
             */
            running: string | null;
            /**
             * Format: int32
             * @description The server.
             */
            server_id: number;
            /** @description How far it is. */
            state: components["schemas"]["RunState"];
            worst: components["schemas"]["FindingStatus"] | null;
        };
        /** @description Hits of all time, of a range or of a bucket. The fields depend on `interval` and `by`. */
        DnsAggregate: {
            /** @description `request` or `response`; with `by=action`. */
            action?: components["schemas"]["Action"];
            /**
             * Format: date-time
             * @description Time of the first message; only in totals of all time.
             */
            first_seen?: string;
            /** @description Whether the host is `<other>`, or `<other>` and a zone: a sum rather than a name; in totals of all time and with `by=record`. */
            folded?: boolean;
            /**
             * Format: int64
             * @description DNS messages.
             */
            hits: number;
            /**
             * @description Owner name; in totals of all time and with `by=record`.
             * @example www.example.com.
             */
            host?: string;
            /**
             * Format: date-time
             * @description Time of the last message.
             */
            last_access: string;
            /**
             * Format: int32
             * @description In a series, how many of `servers` observed the whole bucket or day: their probes listened without a gap and saw the
             *     DNS server's messages. If it is open, the part of it that can have been reported by now. If fewer than `servers`,
             *     the sum is incomplete.
             */
            observed_servers?: number;
            /** @description In a series, whether reports about the bucket or day are still expected. */
            open?: boolean;
            /**
             * Format: int64
             * @description The id of the resource that the record belongs to, or 0; in totals of all time and with `by=record`.
             */
            resource_id?: number;
            /** @description The server's display name; with `by=server`. */
            server?: string;
            /**
             * Format: int32
             * @description The server's id; with `by=server`.
             */
            server_id?: number;
            /**
             * Format: int32
             * @description In a series, how many servers should have contributed: the selected ones that were registered before the bucket or
             *     day ended and not removed before it began, even if they never reported. Samples and servers without DNS monitoring
             *     count only if they reported.
             */
            servers?: number;
            /**
             * Format: date-time
             * @description Start of the bucket or day; with any `interval` but `all`.
             */
            time?: string;
            /**
             * @description Record type; in totals of all time and with `by=record`.
             * @example AAAA
             */
            type?: string;
        };
        /** @description The hits of one record, action and response code on one server in one interval. */
        DnsPoint: {
            /** @description `request` or `response`. */
            action: components["schemas"]["Action"];
            /**
             * @description Whether it stands for messages that were counted together because a table was full; the host is then `<other>`,
             *     or `<other>` and a zone, rather than a name.
             */
            folded: boolean;
            /**
             * Format: int64
             * @description DNS messages.
             */
            hits: number;
            /**
             * @description Owner name, in lower case with a final dot.
             * @example www.example.com.
             */
            host: string;
            /**
             * Format: int32
             * @description Length of the interval, seconds.
             */
            interval_s: number;
            /**
             * Format: date-time
             * @description Time of the last message.
             */
            last_access: string;
            /** @description Response code; null for a request. */
            rcode: string | null;
            /**
             * Format: int64
             * @description The id of the catalogue's resource that the record belongs to, or 0.
             */
            resource_id: number;
            /** @description The server's display name. */
            server: string;
            /**
             * Format: int32
             * @description The server's id.
             */
            server_id: number;
            /**
             * Format: date-time
             * @description Start of the interval.
             */
            time: string;
            /**
             * @description Record type.
             * @example AAAA
             */
            type: string;
        };
        /** @description Hits per second in a step. The fields depend on `by`. */
        DnsRate: {
            /** @description `request` or `response`; with `by=action`. */
            action?: components["schemas"]["Action"];
            /** @description Whether the host is `<other>`, or `<other>` and a zone: a sum rather than a name; with `by=record`. */
            folded?: boolean;
            /**
             * Format: int64
             * @description Hits; null if nothing was observed.
             */
            hits: number | null;
            /**
             * @description Owner name; with `by=record`.
             * @example www.example.com.
             */
            host?: string;
            /**
             * Format: int32
             * @description How many of `servers` observed the whole step: their probes listened without a gap and saw the DNS server's
             *     messages. If it is open, the part of it that can have been reported by now. If fewer than `servers`, the sum is
             *     incomplete.
             */
            observed_servers: number;
            /** @description Whether reports about the step are still expected. */
            open: boolean;
            /**
             * Format: int64
             * @description The id of the resource that the record belongs to, or 0; with `by=record`.
             */
            resource_id?: number;
            /**
             * Format: double
             * @description Hits per second: the sum of the servers' rates, each being its hits divided by the seconds that its probe covered.
             *     Null if nothing of the step was observed, 0 if there was no hit.
             */
            rps: number | null;
            /** @description The server's display name; with `by=server`. */
            server?: string;
            /**
             * Format: int32
             * @description The server's id; with `by=server`.
             */
            server_id?: number;
            /**
             * Format: int32
             * @description How many servers should have contributed: the selected ones that were registered before the step ended and not
             *     removed before it began, even if they never reported. Samples and servers without DNS monitoring count only if
             *     they reported.
             */
            servers: number;
            /**
             * Format: date-time
             * @description Start of the step.
             */
            time: string;
            /**
             * @description Record type; with `by=record`.
             * @example AAAA
             */
            type?: string;
        };
        /** @description The settings in effect: the defaults, overridden by those for all servers, overridden by those of a server. */
        EffectiveSettings: {
            /**
             * Format: int32
             * @description How long roll-ups are kept, days; 4294967295 means forever.
             */
            aggregated_retention_days: number;
            /**
             * Format: int32
             * @description How long the central waits for a probe or a broker to accept its connection, milliseconds.
             */
            api_timeout_ms: number;
            /**
             * @description The URL at which probes reach this API, `http://…` or `https://…`; empty for the one they were enrolled with. A probe
             *     follows only to hosts that its own configuration allows. For administrators.
             * @example https://central.example:8053
             */
            api_url: string;
            /** @description How batches reach the central: the probe sends them over HTTP or through RabbitMQ, or the central pulls them. */
            communication: components["schemas"]["Communication"];
            /**
             * Format: int32
             * @description The length of a DNS interval, seconds; divides 300.
             * @example 60
             */
            dns_interval_s: number;
            /** @description Whether to count DNS messages. */
            dns_monitoring: boolean;
            /** @description Whether to count which records responses served as well, by class: in answers, referrals, as glue and so on. */
            dns_served: boolean;
            /**
             * @description What happens to a batch whose time is already covered by another run of a probe of the same server, as when two probes
             *     use the same token: with `count`, both count and the coverage shows the overlap; with `refuse`, each time counts only
             *     once. With `refuse`, a probe whose clock was ahead and is set back between two runs has its batches refused until the
             *     time that it falsely covered is over, at most as long as batches may be ahead (`[ingest] max_ahead_s`).
             */
            overlapping_probes: components["schemas"]["OverlappingProbes"];
            /** @description The broker's FQDN or IP address; empty if there is none. For administrators, like everything about the broker. */
            rabbitmq_address: string;
            /** @description Whether a password is set. The password itself is never shown. */
            rabbitmq_password_set: boolean;
            /**
             * Format: int32
             * @description The broker's port; by default 5672, or 5671 with TLS.
             */
            rabbitmq_port: number;
            /** @description Whether to connect to the broker with TLS. */
            rabbitmq_tls: boolean;
            /** @description The user to log in to the broker as. */
            rabbitmq_user: string;
            /** @description The broker's virtual host. */
            rabbitmq_virtual_host: string;
            /**
             * Format: int32
             * @description How long raw points are kept, minutes; 4294967295 means forever.
             */
            raw_retention_minutes: number;
            /**
             * Format: int32
             * @description How often to measure it, seconds; divides 300.
             * @example 5
             */
            system_interval_s: number;
            /** @description Whether to measure the system. */
            system_monitoring: boolean;
            /**
             * @description Whether a probe refuses a central or a broker whose certificate it cannot verify. For administrators; a probe whose
             *     own configuration requires verification always verifies.
             */
            verify_ca: boolean;
        };
        /** @description What a new probe gets. */
        EnrollmentBody: {
            /** @description The token that the central presents when it pulls batches; empty if it does not. */
            pull_token: string;
            /** @description The server's display name. */
            server: string;
            /**
             * Format: int32
             * @description The server's id.
             */
            server_id: number;
            /** @description The probe's settings. */
            settings: components["schemas"]["ProbeSettingsBody"];
            /**
             * Format: int64
             * @description The version of these settings.
             */
            settings_version: number;
            /** @description The token with which the probe sends batches and heartbeats. */
            token: string;
        };
        /** @description A probe to be enrolled. */
        EnrollmentRequestBody: {
            /** @description The host name. */
            hostname: string;
            /** @description The operating system. */
            os: string;
            /** @description The version of the probe. */
            probe_version: string;
        };
        /** @description Something that was checked. */
        Finding: {
            /** @description What to do; null if there is nothing to do. */
            advice: string | null;
            /** @description What was checked. */
            checked: string;
            /** @description What was found; if it was skipped, why. */
            found: string;
            /**
             * @description Its name, which never changes; docs/DOCTOR.md lists them.
             * @example dns_server
             */
            id: string;
            /** @description The outcome. */
            status: components["schemas"]["FindingStatus"];
            /** @description What was found, as numbers and texts. */
            values: {
                [key: string]: unknown;
            };
        };
        /**
         * @description The outcome of a check.
         * @enum {string}
         */
        FindingStatus: "ok" | "skipped" | "warning" | "error";
        /** @description The settings for all servers. */
        GlobalAnswer: {
            /** @description The settings in effect for a server without settings of its own. */
            effective_settings: components["schemas"]["EffectiveSettings"];
            /** @description The settings as set for all servers. */
            settings: components["schemas"]["SettingsSet"];
            /**
             * Format: int64
             * @description Increases with every change of a setting, whether for all servers or for one.
             */
            settings_version: number;
        };
        /** @description A server with what its probe needs. It contains one secret, which is shown only once: `enrollment_token` or `token`. */
        Handover: {
            /**
             * @description The certificate authority that the probe must trust, in PEM, for the file that `tls.ca_file` in `probe_config` names;
             *     null if machines trust it anyway. Enrolment does not need it: the command contains its fingerprint.
             */
            ca: string | null;
            /**
             * @description The command that enrols the machine's probe; present with `enrollment_token`. It prompts for that token, or reads it from
             *     standard input, because every user of the machine can see arguments. The command for a new token contains `--force`,
             *     which replaces the credentials of a machine that is already enrolled, and makes no difference otherwise.
             * @example zonepulse-probe enroll https://central.example:8053 -
             */
            enroll_command?: string | null;
            /**
             * Format: date-time
             * @description When it expires; present with `enrollment_token`.
             */
            enrollment_expires?: string | null;
            /** @description A token for one enrolment. In exchange, the probe gets a token of its own, which nobody else sees. */
            enrollment_token?: string | null;
            /** @description A configuration for the probe, in TOML, including the token; present with `token`. */
            probe_config?: string | null;
            /** @description The server. */
            server: components["schemas"]["ServerDetail"];
            /** @description The token with which the probe sends batches and heartbeats; only if `credential` asked for it. */
            token?: string | null;
        };
        /** @description A positive answer. */
        Health: {
            /** @description `ok`. */
            status: string;
        };
        /** @description The answer to a heartbeat. */
        HeartbeatAnswerBody: {
            /**
             * Format: int64
             * @description Orders diagnostics: the number of the run, for `send_diagnostics`. Absent if there is no order.
             */
            diagnose?: number | null;
            /**
             * Format: int64
             * @description When the heartbeat arrived, by the central's clock, Unix milliseconds.
             */
            received_at_ms: number;
            resend?: components["schemas"]["ResendBody"] | null;
            /** @description The probe's settings. */
            settings: components["schemas"]["ProbeSettingsBody"];
            /**
             * Format: int64
             * @description The version of these settings, which increases with every change.
             */
            settings_version: number;
        };
        /** @description The state of the probe and its machine. */
        HeartbeatBody: {
            /** @description Whether DNS messages are being counted. */
            capture: components["schemas"]["CaptureBody"];
            /** @description The services on the machine. */
            components: components["schemas"]["ComponentsBody"];
            /** @description Whether it runs diagnostics when the answer orders it; false if absent. */
            diagnoses?: boolean;
            /**
             * Format: int64
             * @description The run of the probe, as in its batches.
             */
            epoch: number;
            /** @description The host name. */
            hostname: string;
            /** @description The operating system. */
            os: string;
            /** @description The version of the probe. */
            probe_version: string;
            /**
             * Format: int64
             * @description When it was created, by the probe's clock, Unix milliseconds.
             */
            sent_at_ms: number;
            /** @description Which settings the probe does not apply, and why. */
            settings_refused?: string | null;
            /**
             * Format: int64
             * @description The version of the settings in effect; absent while only the probe's own configuration applies.
             */
            settings_version?: number | null;
            /** @description What is waiting to be sent. */
            spool: components["schemas"]["SpoolBody"];
            /**
             * Format: int64
             * @description How long it has been running, seconds.
             */
            uptime_s: number;
        };
        /** @description The state of a server. */
        HeartbeatRow: {
            capture: components["schemas"]["CaptureBody"] | null;
            /**
             * Format: int64
             * @description How far the probe's clock is ahead of the central's, milliseconds, including the time the heartbeat was in transit.
             */
            clock_skew_ms: number | null;
            /** @description The services on the machine. */
            components: components["schemas"]["ComponentsBody"];
            /**
             * @description Which probes use its token, if there are several.
             * @example two probes use this server's token: ns1 (192.0.2.1), ns2 (192.0.2.2)
             */
            conflict: string | null;
            /**
             * @description For monitoring systems: whether nothing is wrong. `health` is `ok` or `starting`, heartbeats arrive as they should, and
             *     the probe has been heard from since the central started.
             */
            good: boolean;
            health: components["schemas"]["ServerHealth"] | null;
            /** @description The host name. */
            hostname: string | null;
            /**
             * Format: date-time
             * @description When the last heartbeat arrived; null if none ever did.
             */
            last_heartbeat: string | null;
            /** @description The operating system. */
            os: string | null;
            /** @description The version of the probe. */
            probe_version: string | null;
            /** @description The reasons, worst first. */
            reasons: components["schemas"]["ReasonBody"][];
            /** @description Number of heartbeats in the last 2 minutes. */
            requests: number;
            /** @description Whether its data is sample data, without a probe. */
            sample: boolean;
            /** @description The server's display name. */
            server: string;
            /**
             * Format: int32
             * @description The server's id.
             */
            server_id: number;
            /**
             * @description Which settings the probe does not apply, and why: its own configuration forbids it, or it cannot. Null if it applies
             *     all of them.
             */
            settings_refused: string | null;
            /**
             * Format: int64
             * @description The version of the settings in effect there; null while only the probe's own configuration applies.
             */
            settings_version: number | null;
            spool: components["schemas"]["SpoolBody"] | null;
            /** @description Whether a heartbeat arrived in the last 2 minutes, and whether several probes use its token. */
            state: components["schemas"]["ServerState"];
            /**
             * Format: int64
             * @description How long the probe has been running, seconds.
             */
            uptime_s: number | null;
        };
        /** @description A program of the probe. */
        ImageBody: {
            /**
             * @description The architecture, as `uname -m` names it: `x86_64` or `aarch64`.
             * @example x86_64
             */
            architecture: string;
            /**
             * @description Its name, by which it is removed.
             * @example zonepulse-probe-0.1.0-linux-x86_64
             */
            image: string;
            /** @description Where it comes from: `upload`, `package`, or `built` with the central. */
            origin: string;
            /** @description The SHA-256 of its contents, hexadecimal. */
            sha256: string;
            /**
             * Format: int64
             * @description Its size, bytes.
             */
            size_bytes: number;
            /** @description Whether it runs on any Linux of that architecture. Otherwise it needs libraries of the machine: glibc, libpcap. */
            static: boolean;
            /**
             * Format: date-time
             * @description When it was uploaded or installed.
             */
            uploaded: string;
            /**
             * @description The version.
             * @example 0.1.0
             */
            version: string;
        };
        /** @description What an import did. */
        ImportedBody: {
            /**
             * Format: int64
             * @description RRsets that are new, or came back.
             */
            added: number;
            /**
             * Format: int64
             * @description RRsets whose TTL or data changed.
             */
            changed: number;
            /** @description The first few that are new. */
            examples_added: string[];
            /** @description The first few that changed. */
            examples_changed: string[];
            /** @description The first few that are gone. */
            examples_removed: string[];
            /**
             * Format: int64
             * @description RRsets that are gone.
             */
            removed: number;
            /**
             * Format: int64
             * @description RRsets that stay as they were.
             */
            unchanged: number;
            /** @description The zone as it is now. */
            zone: components["schemas"]["ZoneEntry"];
        };
        /** @description A resource of a plan. */
        ItemBody: {
            /** @description Its owner. */
            host: string;
            /**
             * Format: date-time
             * @description When it was marked.
             */
            marked: string;
            /**
             * Format: int32
             * @description The resource.
             */
            resource_id: number;
            /**
             * Format: date-time
             * @description When it got there.
             */
            since: string;
            /** @description How far it got. */
            stage: components["schemas"]["StageWord"];
            /**
             * Format: int32
             * @description The TTL that it had when it was put into the plan, seconds.
             */
            ttl: number;
            /** @description Its type. */
            type: string;
        };
        /** @description An installation or update over SSH. */
        JobBody: {
            /** @description The user who started it. */
            by: string;
            /**
             * Format: date-time
             * @description When it was started.
             */
            created: string;
            /**
             * Format: date-time
             * @description When it ended; null if it has not.
             */
            ended: string | null;
            /**
             * Format: int64
             * @description Its number.
             */
            job_id: number;
            /** @description The host through which it is reached; null if it is reached directly. */
            jump: string | null;
            /** @description `install` or `update`. */
            kind: string;
            /** @description The node. */
            node: string;
            /** @description The version that was installed before; null if none was, or while that is not known. */
            previous_version: string | null;
            /**
             * Format: int32
             * @description How much is done, percent.
             */
            progress_percent: number;
            /** @description Whether the version before was brought back. */
            rolled_back: boolean;
            /**
             * Format: int32
             * @description The server.
             */
            server_id: number;
            /**
             * Format: date-time
             * @description When it began; null while it waits.
             */
            started: string | null;
            /** @description How it is. */
            state: components["schemas"]["JobWord"];
            /** @description The steps, in order. */
            steps: components["schemas"]["StepBody"][];
            /** @description The version that is installed; null until that is known. */
            version: string | null;
        };
        /**
         * @description How a job is.
         * @enum {string}
         */
        JobWord: "waiting" | "running" | "done" | "failed" | "interrupted";
        /** @description What became of labels. */
        LabelledBody: {
            /**
             * Format: int64
             * @description Resources whose label is another now.
             */
            changed: number;
            /**
             * Format: int64
             * @description Rows for which there was a resource.
             */
            matched: number;
            /**
             * Format: int64
             * @description Rows for which there was none.
             */
            unmatched: number;
        };
        /** @description The first entries of a list, and how many there are. */
        ListBody_AffectedBody: {
            /** @description The first of them. */
            first: {
                /** @description What it gets after. */
                after: string;
                /** @description What that gets before. */
                before: string;
                /** @description What happens to it, in words. */
                change: string;
                /** @description A query that shows it. */
                example: string;
                /** @description The name. */
                name: string;
            }[];
            /** @description How many there are. */
            total: number;
        };
        /** @description The first entries of a list, and how many there are. */
        ListBody_RemovedBody: {
            /** @description The first of them. */
            first: {
                /** @description What it gets after. */
                after: string;
                /** @description What a query for it gets before. */
                before: string;
                /** @description Its owner. */
                host: string;
                /** @description Its type. */
                type: string;
            }[];
            /** @description How many there are. */
            total: number;
        };
        /** @description The first entries of a list, and how many there are. */
        ListBody_String: {
            /** @description The first of them. */
            first: string[];
            /** @description How many there are. */
            total: number;
        };
        /** @description How far a zone is that is being loaded. */
        LoadingEntry: {
            /**
             * Format: int64
             * @description Records that were read, or RRsets that were imported, so far.
             */
            done: number;
            /** @description `reading` (its file or transfer) or `importing` (into the catalogue). */
            phase: string;
            /**
             * Format: date-time
             * @description When it began.
             */
            since: string;
        };
        /** @description A login. */
        Login: {
            /** @description The user's password. */
            password: string;
            /** @description The user's name. */
            user: string;
        };
        /** @description A plan to be made. */
        NewPlanBody: {
            /**
             * Format: int32
             * @description The TTL that they are lowered to at most, seconds; 60 unless told otherwise.
             */
            lowered_ttl?: number | null;
            /** @description What it is called. */
            name: string;
            /** @description What is to be remembered about it. */
            note?: string;
            /** @description The resources, of one zone. */
            resource_ids: number[];
        };
        /** @description A new server. */
        NewServer: {
            /** @description Its FQDN or IP address, without a port. */
            address?: string | null;
            credential?: components["schemas"]["Credential"] | null;
            /**
             * @description The newest version of the probe that bundles and installation over SSH give it, such as `0.1.0`; empty or null for no
             *     limit.
             * @example 0.1.0
             */
            max_version?: string | null;
            /** @description Notes about it. */
            notes?: string | null;
            /** @description Its operating system, which the probe reports when it enrols. */
            os?: string | null;
            /**
             * @description The token that the central presents there; generated with `pull_url` by default. It is never shown. For
             *     administrators.
             */
            pull_token?: string | null;
            /** @description The URL that the central pulls from, `http://…` or `https://…`. For administrators. */
            pull_url?: string | null;
            /** @description Whether its data is sample data, not that of a machine. */
            sample?: boolean | null;
            /**
             * @description Its display name, which must not look like another server's: 1 to 128 bytes without invisible characters.
             * @example ns1
             */
            server: string;
            /**
             * @description What it is used for.
             * @example [
             *       "dns"
             *     ]
             */
            services?: string[] | null;
            settings?: components["schemas"]["SettingsSet"] | null;
            /** @description Whether its probe is trusted with the secrets that it needs. For administrators. */
            trusted?: boolean | null;
        };
        /** @description A new token. */
        NewToken: {
            /**
             * Format: int32
             * @description The number of days until it expires; by default, it does not.
             */
            expires_days?: number | null;
            /**
             * @description What it is for: 1 to 128 bytes.
             * @example grafana
             */
            name: string;
        };
        /** @description A new user. */
        NewUserBody: {
            /** @description Whether the user is an administrator, who may do everything; false by default. */
            administrator?: boolean | null;
            /** @description The password; generated by default. */
            password?: string | null;
            rights?: components["schemas"]["RightsChange"] | null;
            /**
             * @description The name to log in with, which must not look like another user's: 1 to 128 bytes without colons, slashes and
             *     invisible characters.
             */
            user: string;
        };
        /** @description A zone to be added. */
        NewZone: {
            /** @description For a file: its path, relative to the directory `zones.directory` of the central's configuration. */
            file?: string | null;
            /** @description Whether servers that are not managed serve it, too, such as somebody else's secondaries. */
            others_serve_it?: boolean | null;
            /** @description Whether to give verdicts nevertheless. */
            others_waived?: boolean | null;
            /**
             * @description For a transfer: address of the primary, with a port unless it is 53.
             * @example 192.0.2.1:53
             */
            primary?: string | null;
            /** @description The ids of the servers that serve it; empty for all. */
            servers?: number[] | null;
            source?: components["schemas"]["SourceKind"] | null;
            tsig?: components["schemas"]["TsigBody"] | null;
            /** @description The view in which it is served; `default` unless told otherwise. */
            view?: string | null;
            /**
             * @description Its apex.
             * @example example.com.
             */
            zone: string;
        };
        /** @description A period of a server. */
        ObservationRow: {
            /**
             * Format: date-time
             * @description When the period begins.
             */
            from: string;
            /** @description Whether it was observed without loss. */
            observed: boolean;
            /** @description Its display name. */
            server: string;
            /**
             * Format: int32
             * @description The server.
             */
            server_id: number;
            /**
             * Format: date-time
             * @description When it ends.
             */
            to: string;
            /** @description Why not, one word for each reason: `gap` (no report), `kernel_drop`, `interface_drop`, `evicted`, `unreadable`, `folded`, `blind` ... */
            why: string | null;
        };
        /** @enum {string} */
        OverlappingProbes: "count" | "refuse";
        /** @description A plan for deleting records. */
        PlanBody: {
            /**
             * Format: date-time
             * @description When it was made.
             */
            created: string;
            /** @description Who made it. */
            created_by: string;
            /**
             * Format: int32
             * @description The TTL that its resources are lowered to at most, seconds.
             */
            lowered_ttl: number;
            /** @description What it is called. */
            name: string;
            /** @description What is to be remembered about it. */
            note: string;
            /** @description Its resources. */
            resources: components["schemas"]["ItemBody"][];
            /**
             * Format: int32
             * @description Its id. An id is never used again.
             */
            retirement_id: number;
            /** @description The zone's apex. */
            zone: string;
            /**
             * Format: int32
             * @description The zone's id.
             */
            zone_id: number;
        };
        /** @description What is to be different about a plan; what is absent stays as it is. */
        PlanChangeBody: {
            /** @description Resources of its zone that are put into it as they are now, marked. */
            add_resource_ids?: number[];
            /** @description What it is called. */
            name?: string | null;
            /** @description What is to be remembered about it. */
            note?: string | null;
            /** @description Resources that are taken out of it. Those whose TTL is lowered or that are removed must be restored before. */
            remove_resource_ids?: number[];
            /** @description Which resources the stage is about; all if absent. */
            resource_ids?: number[] | null;
            stage?: components["schemas"]["StageWord"] | null;
        };
        /** @description A probe's settings. */
        ProbeSettingsBody: {
            /** @description The URL of this API; null for that of the probe's own configuration. */
            api_url?: string | null;
            /** @description How batches reach the central: `http`, `rabbitmq` or `pull`. */
            communication: string;
            /**
             * Format: int32
             * @description The length of a DNS interval, seconds.
             */
            dns_interval_s: number;
            /** @description Whether to count DNS messages. */
            dns_monitoring: boolean;
            /** @description Whether to count which records responses served. */
            dns_served: boolean;
            /** @description The token that the central presents, if it pulls batches. */
            pull_token?: string | null;
            rabbitmq?: components["schemas"]["RabbitmqBody"] | null;
            /**
             * Format: int32
             * @description How often to measure it, seconds.
             */
            system_interval_s: number;
            /** @description Whether to measure the machine itself. */
            system_monitoring: boolean;
            /** @description Whether to verify certificates. */
            verify_ca: boolean;
        };
        /** @description A problem document (RFC 9457). */
        Problem: {
            /**
             * @description What happened this time, and what to do about it.
             * @example limit: -1 is not a number from 0 to 100000
             */
            detail: string;
            /**
             * @description The parameter at fault, where there is one.
             * @example limit
             */
            parameter?: string | null;
            /**
             * @description What is in `detail`, one by one, where it can be several things.
             * @example [
             *       "the store is being closed"
             *     ]
             */
            reasons?: string[];
            /**
             * Format: int32
             * @description The HTTP status.
             * @example 400
             */
            status: number;
            /**
             * @description The case in words; always the same for a `type`.
             * @example A parameter is not valid
             */
            title: string;
            /**
             * @description Which case it is, for programs: the same case always has the same.
             * @example urn:zonepulse:problem:bad-parameter
             */
            type: string;
        };
        /**
         * @description Whether a resource may be called unused.
         * @enum {string}
         */
        ProtectionWord: "none" | "protect" | "allow";
        /** @description How to reach a node. Passwords and keys are kept in memory, until the job has ended. */
        PushOrder: {
            /**
             * @description Whether to believe a host key that is seen for the first time. It is known from then on, and shown in the message of
             *     the first step.
             */
            accept_new_host_key: boolean;
            /** @description Whether to enrol a node that is enrolled already; its credentials are replaced. Only for an installation. */
            enroll: boolean;
            /**
             * @description The node's host key: its fingerprint (`SHA256:…`, as `ssh-keygen -lf` prints it there), or the key itself
             *     (`ssh-ed25519 AAAA…`). Without it, the key has to be known to the central from an earlier connection.
             */
            host_key?: string | null;
            /** @description A host through which the node is reached, in the same form. */
            jump?: string | null;
            /** @description Its host key. */
            jump_host_key?: string | null;
            /** @description The password there; the private key is used there as well. */
            jump_password?: string | null;
            /**
             * @description The node: `user@host` or `user@host:port`, with an IPv6 address in brackets.
             * @example root@ns1.example
             */
            node: string;
            /** @description The user's password, or the passphrase of the key. */
            password?: string | null;
            /** @description The directory for everything that is installed, instead of the usual places. */
            prefix?: string | null;
            /** @description A private key, in the format of OpenSSH. */
            private_key?: string | null;
            /** @description Whether to become root with `sudo`, which must not ask for a password. */
            sudo: boolean;
            /**
             * Format: int32
             * @description How long to wait for the first heartbeat, seconds: 10 to 900; 90 by default.
             */
            wait_s?: number | null;
        };
        /** @description The broker's address and credentials. Only the server's own probe gets them. */
        RabbitmqBody: {
            /** @description A host name or an IP address. */
            address: string;
            /** @description The user's password. */
            password: string;
            /**
             * Format: int32
             * @description The port.
             */
            port: number;
            /** @description Whether to use TLS. */
            tls: boolean;
            /** @description The user. */
            user: string;
            /** @description The virtual host. */
            virtual_host: string;
        };
        /** @description Why a server's health is what it is. */
        ReasonBody: {
            /** @description The state that follows from it. */
            health: components["schemas"]["ServerHealth"];
            /**
             * @description A sentence that says what is wrong and what to do.
             * @example knotd listens on port 5353 (UDP, TCP); the probe counts port 53: set capture.ports
             */
            reason: string;
            /**
             * Format: date-time
             * @description Since when; null if unknown.
             */
            since: string | null;
        };
        /** @description A new token for a server. */
        Renewal: {
            credential?: components["schemas"]["Credential"] | null;
        };
        /** @description Delivered batches to send again, because the central was restored from a backup and has forgotten them. */
        ResendBody: {
            /**
             * Format: int64
             * @description Batches delivered at this time or later are wanted, by the central's clock, Unix milliseconds.
             */
            delivered_since_ms: number;
            /**
             * Format: int64
             * @description Identifies the request: when the central was restored, Unix milliseconds. A probe follows each request once.
             */
            restored_at_ms: number;
        };
        /** @description What is to be different about a resource; what is absent stays as it is. */
        ResourceChangeBody: {
            /** @description Its id in another system; empty for none. */
            label?: string | null;
            /** @description What is to be remembered about it; with `protect`, why it is protected. */
            note?: string | null;
            protection?: components["schemas"]["ProtectionWord"] | null;
        };
        /** @description An RRset of the catalogue. */
        ResourceRow: {
            /**
             * Format: date-time
             * @description When it appeared; null if it was there when the zone was first loaded.
             */
            created: string | null;
            /** @description The data of its records in presentation format, a line each. */
            data: string;
            /** @description The owner. */
            host: string;
            /** @description Its id in another system, or empty. */
            label: string;
            /** @description What is to be remembered about it. */
            note: string | null;
            /** @description `protect` or `allow`, if the operator said so. */
            protection: string | null;
            /**
             * Format: date-time
             * @description When it was removed; null if it is there.
             */
            removed: string | null;
            /**
             * Format: int64
             * @description Its id: assigned once, never used again, and kept when its data change or when it goes and comes back.
             */
            resource_id: number;
            /**
             * Format: int32
             * @description The TTL, seconds.
             */
            ttl: number;
            /** @description The type. */
            type: string;
            /** @description Its view. */
            view: string;
            /** @description Its apex. */
            zone: string;
            /**
             * Format: int32
             * @description The zone.
             */
            zone_id: number;
        };
        /** @description What a user who is not an administrator may do. */
        RightsBody: {
            /** @description Use the monitoring API. */
            monitoring: boolean;
            /** @description Plan the deletion of records. */
            retirement: boolean;
            /** @description Create servers. */
            server_create: boolean;
            /** @description Remove servers. */
            server_delete: boolean;
            /** @description See the configuration of servers. */
            server_read: boolean;
            /** @description Change servers. */
            server_update: boolean;
            /** @description Add, load, change and remove zones, and what is said of their resources. */
            zones: boolean;
        };
        /** @description Rights to grant or revoke; an absent one is unchanged. */
        RightsChange: {
            /** @description Use the monitoring API. */
            monitoring?: boolean | null;
            /** @description Plan the deletion of records. */
            retirement?: boolean | null;
            /** @description Create servers. */
            server_create?: boolean | null;
            /** @description Remove servers. */
            server_delete?: boolean | null;
            /** @description See the configuration of servers. */
            server_read?: boolean | null;
            /** @description Change servers. */
            server_update?: boolean | null;
            /** @description Add, load, change and remove zones, and what is said of their resources. */
            zones?: boolean | null;
        };
        /**
         * @description How far a run is: `requested` until the probe has the order, `running` until the result arrives, `done` with a result;
         *     without one `failed`, `expired` (none came in time, or it is no longer kept), or `unsupported` (the probe is of a version
         *     that does not know the order).
         * @enum {string}
         */
        RunState: "requested" | "running" | "done" | "failed" | "expired" | "unsupported";
        /** @description Changes to a server. */
        ServerChange: {
            /** @description Its FQDN or IP address, without a port. */
            address?: string | null;
            /**
             * @description The newest version of the probe that bundles and installation over SSH give it, such as `0.1.0`; empty or null for no
             *     limit.
             * @example 0.1.0
             */
            max_version?: string | null;
            /** @description Notes about it. */
            notes?: string | null;
            /** @description Its operating system, which the probe reports when it enrols. */
            os?: string | null;
            /**
             * @description The token that the central presents there; generated with `pull_url` by default. It is never shown. For
             *     administrators.
             */
            pull_token?: string | null;
            /** @description The URL that the central pulls from, `http://…` or `https://…`. For administrators. */
            pull_url?: string | null;
            /** @description Whether its data is sample data, not that of a machine. */
            sample?: boolean | null;
            /** @description Its display name, which must not look like another server's: 1 to 128 bytes without invisible characters. */
            server?: string | null;
            /**
             * @description What it is used for.
             * @example [
             *       "dns"
             *     ]
             */
            services?: string[] | null;
            settings?: components["schemas"]["SettingsSet"] | null;
            /** @description Whether its probe is trusted with the secrets that it needs. For administrators. */
            trusted?: boolean | null;
        };
        /** @description A managed server and its configuration. */
        ServerDetail: {
            /** @description Its FQDN or IP address; empty if unknown. */
            address: string;
            /**
             * Format: date-time
             * @description When it was created.
             */
            created: string;
            /** @description The settings in effect. */
            effective_settings: components["schemas"]["EffectiveSettings"];
            /**
             * Format: date-time
             * @description When its one-time enrolment token expires; null if there is none.
             */
            enrollment_expires: string | null;
            /** @description The newest version of the probe that bundles and installation over SSH give it; null for no limit. */
            max_version: string | null;
            /** @description Notes about it. */
            notes: string;
            /** @description Its operating system; empty if unknown. */
            os: string;
            /** @description The URL that the central pulls from; empty if none. */
            pull_url: string;
            /**
             * Format: date-time
             * @description When it was removed; null if it is not.
             */
            removed: string | null;
            /** @description Whether its data is sample data, not that of a machine. */
            sample: boolean;
            /** @description Its display name, unique among servers that are not removed. */
            server: string;
            /**
             * Format: int32
             * @description Its id, which is never reused.
             */
            server_id: number;
            /** @description What it is used for. */
            services: string[];
            /** @description The settings of this server that override those for all servers. */
            settings: components["schemas"]["SettingsSet"];
            /**
             * @description Whether its probe is trusted with secrets: the broker's password, or the pull token, if it needs them. It no longer is
             *     once a user who is not an administrator has created the server or a token for it; it then sends over HTTP instead of
             *     through the broker.
             */
            trusted: boolean;
        };
        /** @description A managed server. */
        ServerEntry: {
            /**
             * Format: date-time
             * @description When it was created.
             */
            created: string;
            /** @description Whether its data is sample data, not that of a machine. */
            sample: boolean;
            /** @description Its display name. */
            server: string;
            /**
             * Format: int32
             * @description Its id.
             */
            server_id: number;
        };
        /**
         * @description How well a server is observed, worst first.
         * @enum {string}
         */
        ServerHealth: "silent" | "refused" | "conflict" | "blind" | "behind" | "lost" | "restarting" | "dns_stopped" | "settings_refused" | "new" | "starting" | "ok";
        /**
         * @description Whether the probe is heard from.
         * @enum {string}
         */
        ServerState: "running" | "stopped" | "conflict";
        /** @description Who is logged in. */
        SessionBody: {
            /** @description Whether the user is an administrator, who may do everything. */
            administrator: boolean;
            /** @description What the header `X-CSRF-Token` of every request that is not GET or HEAD has to be. Only with the cookie of a session. */
            csrf_token?: string | null;
            /**
             * Format: int64
             * @description When the session expires if it is not used until then, Unix milliseconds. Only with the cookie of a session.
             */
            expires_at_ms?: number | null;
            /** @description The rights of a user who is not an administrator. */
            rights: components["schemas"]["RightsBody"];
            /** @description The name of the user. */
            user: string;
        };
        /** @description The settings as set here; for one that is absent or null, the default applies, or for a server the value for all servers. */
        SettingsSet: {
            /**
             * Format: int32
             * @description How long roll-ups are kept, days; 4294967295 means forever.
             */
            aggregated_retention_days?: number | null;
            /**
             * Format: int32
             * @description How long the central waits for a probe or a broker to accept its connection, milliseconds.
             */
            api_timeout_ms?: number | null;
            /**
             * @description The URL at which probes reach this API, `http://…` or `https://…`; empty for the one they were enrolled with. A probe
             *     follows only to hosts that its own configuration allows. For administrators.
             * @example https://central.example:8053
             */
            api_url?: string | null;
            communication?: components["schemas"]["Communication"] | null;
            /**
             * Format: int32
             * @description The length of a DNS interval, seconds; divides 300.
             * @example 60
             */
            dns_interval_s?: number | null;
            /** @description Whether to count DNS messages. */
            dns_monitoring?: boolean | null;
            /** @description Whether to count which records responses served as well, by class: in answers, referrals, as glue and so on. */
            dns_served?: boolean | null;
            overlapping_probes?: components["schemas"]["OverlappingProbes"] | null;
            /** @description The broker's FQDN or IP address; empty if there is none. For administrators, like everything about the broker. */
            rabbitmq_address?: string | null;
            /** @description The user's password. It can be set but is never shown. */
            rabbitmq_password?: string | null;
            /** @description Whether a password is set. */
            readonly rabbitmq_password_set?: boolean | null;
            /**
             * Format: int32
             * @description The broker's port; by default 5672, or 5671 with TLS.
             */
            rabbitmq_port?: number | null;
            /** @description Whether to connect to the broker with TLS. */
            rabbitmq_tls?: boolean | null;
            /** @description The user to log in to the broker as. */
            rabbitmq_user?: string | null;
            /** @description The broker's virtual host. */
            rabbitmq_virtual_host?: string | null;
            /**
             * Format: int32
             * @description How long raw points are kept, minutes; 4294967295 means forever.
             */
            raw_retention_minutes?: number | null;
            /**
             * Format: int32
             * @description How often to measure it, seconds; divides 300.
             * @example 5
             */
            system_interval_s?: number | null;
            /** @description Whether to measure the system. */
            system_monitoring?: boolean | null;
            /**
             * @description Whether a probe refuses a central or a broker whose certificate it cannot verify. For administrators; a probe whose
             *     own configuration requires verification always verifies.
             */
            verify_ca?: boolean | null;
        };
        /** @description What a plan would change. */
        SimulationBody: {
            /** @description Resources of the plan that are not in the zone now. */
            absent: number[];
            /** @description Resources of the plan that changed since they were put into it: exports stop at them. */
            changed: number[];
            /** @description References that come to point nowhere. */
            dangling: components["schemas"]["ListBody_String"];
            /**
             * Format: int32
             * @description How long resolvers remember that there is nothing (RFC 2308), seconds.
             */
            denial_ttl: number;
            /**
             * Format: int32
             * @description Until when resolvers may still answer with old data, seconds.
             */
            forgotten_after_s: number;
            /** @description The names for which answers change. */
            names: components["schemas"]["ListBody_AffectedBody"];
            /** @description RRsets that must not be removed. If there are any, nothing else is worked out. */
            refused: components["schemas"]["ListBody_String"];
            /** @description The removed RRsets. */
            removed: components["schemas"]["ListBody_RemovedBody"];
            /**
             * Format: int32
             * @description The serial of the zone that it was simulated with.
             */
            serial: number | null;
            /**
             * Format: int32
             * @description How long an undo takes to reach everyone, seconds.
             */
            undone_after_s: number;
        };
        /** @enum {string} */
        Source: "configuration" | "interface";
        /**
         * @description Where a zone comes from.
         * @enum {string}
         */
        SourceKind: "upload" | "file" | "transfer";
        /** @description What is waiting to be sent. */
        SpoolBody: {
            /**
             * Format: int64
             * @description Batches not yet confirmed by the central.
             */
            batches: number;
            /**
             * Format: int64
             * @description Their total size, bytes.
             */
            size_bytes: number;
        };
        /** @description A SQL statement. */
        SqlStatement: {
            /**
             * @description One read-only statement.
             * @example SELECT host, type, sum(hits) AS hits FROM requests_1h GROUP BY host, type ORDER BY hits DESC LIMIT 10
             */
            sql: string;
        };
        /**
         * @description How far a resource got.
         * @enum {string}
         */
        StageWord: "marked" | "ttl_lowered" | "removed" | "restored";
        /** @description A backup that was started. */
        Started: {
            /**
             * @description Its name.
             * @example 20261128T020000Z-5d0f3a21
             */
            backup_id: string;
        };
        /**
         * @description Whether something is running.
         * @enum {string}
         */
        StateWord: "running" | "stopped";
        /** @description A step of a job. */
        StepBody: {
            /**
             * Format: date-time
             * @description When it ended; null if it has not.
             */
            ended: string | null;
            /** @description What there is to say: what was found, or why it failed and what to do. */
            message: string;
            /**
             * Format: date-time
             * @description When it began; null if it has not.
             */
            started: string | null;
            /** @description How it is. */
            state: components["schemas"]["StepWord"];
            /** @description `connect`, `check`, `bundle`, `copy`, `install`, `heartbeat` or `rollback`. */
            step: string;
        };
        /**
         * @description How a step is.
         * @enum {string}
         */
        StepWord: "waiting" | "running" | "done" | "failed" | "skipped";
        /** @description The values of a metric on one server in one bucket. */
        SystemBucket: {
            /**
             * Format: double
             * @description Mean.
             */
            avg: number;
            /**
             * Format: int64
             * @description Number of values.
             */
            count: number;
            /**
             * @description Core, mount point, device or state; empty if there is only one.
             * @example /var
             */
            label: string;
            /**
             * Format: double
             * @description The most recent value.
             */
            last: number;
            /**
             * Format: double
             * @description Maximum.
             */
            max: number;
            /**
             * @description The metric.
             * @example disk_free_bytes
             */
            metric: string;
            /**
             * Format: double
             * @description Minimum.
             */
            min: number;
            /** @description The server's display name. */
            server: string;
            /**
             * Format: int32
             * @description The server's id.
             */
            server_id: number;
            /**
             * Format: date-time
             * @description Start of the bucket or day.
             */
            time: string;
        };
        /** @description A metric and one of its labels. */
        SystemMetric: {
            /**
             * @description Core, mount point, device or state; empty if there is only one.
             * @example established
             */
            label: string;
            /**
             * @description The metric.
             * @example tcp_connections
             */
            metric: string;
        };
        /** @description The value of a metric on one server in one slot. */
        SystemPoint: {
            /**
             * @description Core, mount point, device or state; empty if there is only one.
             * @example total
             */
            label: string;
            /**
             * @description The metric.
             * @example cpu_percent
             */
            metric: string;
            /** @description The server's display name. */
            server: string;
            /**
             * Format: int32
             * @description The server's id.
             */
            server_id: number;
            /**
             * Format: date-time
             * @description Start of the slot.
             */
            time: string;
            /**
             * Format: double
             * @description The value, in the unit at the end of the metric's name.
             */
            value: number;
        };
        /** @description A new token. */
        TokenAnswer: {
            /** @description The token itself, for `Authorization: Bearer`. It is shown only once. */
            secret: string;
            /** @description What is stored about it. */
            token: components["schemas"]["TokenBody"];
        };
        /** @description A token of a user. */
        TokenBody: {
            /**
             * Format: date-time
             * @description When it was created.
             */
            created: string;
            /**
             * Format: date-time
             * @description When it expires; null if it does not.
             */
            expires: string | null;
            /** @description What it is for. */
            name: string;
            /**
             * Format: int32
             * @description Its number among the user's tokens.
             */
            token_id: number;
        };
        /** @description The result of a test. */
        TrialAnswer: {
            /** @description The outcome in words, including the broker's message. */
            detail: string;
            /**
             * Format: int64
             * @description How long it took, milliseconds.
             */
            duration_ms: number;
            /**
             * @description The outcome, for programs.
             * @enum {string}
             */
            outcome: "success" | "name_not_found" | "connection_refused" | "unreachable" | "timed_out" | "not_tls" | "unknown_issuer" | "certificate_expired" | "wrong_name" | "tls_failed" | "not_amqp" | "access_refused" | "virtual_host_not_found" | "virtual_host_refused" | "refused";
            /** @description Whether a probe could send batches there. */
            success: boolean;
            /** @description What the next release will refuse of the request; absent if there is nothing. */
            warnings?: string[];
        };
        /** @description The broker and credentials to test. */
        TrialBody: {
            /**
             * @description The trusted certificate authorities, in PEM; by default, those that the central's machine trusts. With `server_id` it
             *     requires `rabbitmq_password`: the stored password is not disclosed to a broker that other authorities vouch for.
             */
            ca?: string | null;
            /**
             * @description The broker's FQDN or IP address; required without `server_id`.
             * @example broker.example
             */
            rabbitmq_address?: string | null;
            /** @description The password; required without `server_id`. */
            rabbitmq_password?: string | null;
            /**
             * Format: int32
             * @description Its port; by default 5672, or 5671 with TLS.
             */
            rabbitmq_port?: number | null;
            /** @description Whether to use TLS. */
            rabbitmq_tls?: boolean | null;
            /** @description The user; required without `server_id`. */
            rabbitmq_user?: string | null;
            /** @description The virtual host; `/` by default. */
            rabbitmq_virtual_host?: string | null;
            /**
             * Format: int32
             * @description The server whose settings are tested, with the stored password. All other settings are then the stored ones and must
             *     be omitted.
             */
            server_id?: number | null;
            /**
             * Format: int64
             * @description The timeout, milliseconds; by default the setting `api_timeout_ms`.
             */
            timeout_ms?: number | null;
            /** @description Whether to verify the certificate; true by default. */
            verify_ca?: boolean | null;
        };
        /** @description A TSIG key (RFC 8945). */
        TsigBody: {
            /**
             * @description Its algorithm.
             * @example hmac-sha256
             */
            algorithm: string;
            /**
             * @description Its name.
             * @example transfer.example.
             */
            name: string;
            /** @description Its secret, in base64. It is never shown again. */
            secret: string;
        };
        /** @description A new or changed user. */
        UserAnswer: {
            /** @description The password, if it was generated. It is shown only once. */
            password: string | null;
            /** @description The user. */
            user: components["schemas"]["UserBody"];
        };
        /** @description A user. */
        UserBody: {
            /** @description Whether the user is an administrator, who may do everything. */
            administrator: boolean;
            /**
             * Format: date-time
             * @description When the user was created.
             */
            created: string;
            /** @description The rights of a user who is not an administrator. */
            rights: components["schemas"]["RightsBody"];
            /** @description The user's tokens, without the secrets, which are not stored. */
            tokens: components["schemas"]["TokenBody"][];
            /** @description The name to log in with. */
            user: string;
        };
        /** @description Changes to a user. */
        UserChange: {
            /** @description Whether the user is an administrator, who may do everything. */
            administrator?: boolean | null;
            /** @description The new password; `null` generates one. */
            password?: string | null;
            rights?: components["schemas"]["RightsChange"] | null;
        };
        /** @description What can be said of deleting an RRset. */
        VerdictRow: {
            /**
             * Format: int64
             * @description How many requests had this owner and type in their question.
             */
            asked: number;
            /** @description What the verdict is based on: `queries`. */
            evidence: string;
            /**
             * Format: date-time
             * @description When it was first used, directly or through an alias, a wildcard or a delegation.
             */
            first_seen: string | null;
            /** @description The owner. */
            host: string;
            /** @description Its id in another system, or empty. */
            label: string;
            /**
             * Format: date-time
             * @description When it was last used.
             */
            last_access: string | null;
            /**
             * Format: double
             * @description The share of the window in which the zone's servers were observed without loss, 0 to 1.
             */
            observed_share: number;
            /**
             * Format: int64
             * @description For how long nobody needed it, as far as was observed, seconds.
             */
            quiet_for_s: number | null;
            /** @description Why, in words, with the numbers behind it. */
            reasons: string;
            /**
             * Format: int64
             * @description The resource.
             */
            resource_id: number;
            /** @description The rarest rhythm of use that the window can rule out: weekly, monthly, quarterly or yearly. */
            rules_out: string | null;
            /**
             * Format: int32
             * @description The TTL, seconds.
             */
            ttl: number;
            /** @description The type. */
            type: string;
            /** @description `needed`, `protected`, `used`, `new`, `unobserved`, `unused` or `never_used`; the first that applies, in this order. */
            verdict: string;
            /** @description Its view. */
            view: string;
            /** @description Its apex. */
            zone: string;
            /**
             * Format: int32
             * @description The zone.
             */
            zone_id: number;
        };
        /** @description What is to be different about a zone; what is absent stays as it is. */
        ZoneChangeBody: {
            /** @description For a file: its path, relative to the directory `zones.directory` of the central's configuration. */
            file?: string | null;
            /** @description Whether servers that are not managed serve it, too, such as somebody else's secondaries. */
            others_serve_it?: boolean | null;
            /** @description Whether to give verdicts nevertheless. */
            others_waived?: boolean | null;
            /**
             * @description For a transfer: address of the primary, with a port unless it is 53.
             * @example 192.0.2.1:53
             */
            primary?: string | null;
            /** @description The ids of the servers that serve it; empty for all. */
            servers?: number[] | null;
            source?: components["schemas"]["SourceKind"] | null;
            tsig?: components["schemas"]["TsigBody"] | null;
            /** @description The view in which it is served; `default` unless told otherwise. */
            view?: string | null;
        };
        /** @description A zone of the catalogue. */
        ZoneEntry: {
            /**
             * Format: date-time
             * @description When it was last compared with its source.
             */
            checked_at: string | null;
            /**
             * Format: date-time
             * @description When it was added.
             */
            created: string;
            /** @description Why it is not up to date. */
            error: string | null;
            /** @description Of a file, its path below the directory of zone files. */
            file: string | null;
            /**
             * Format: date-time
             * @description When its contents last changed.
             */
            loaded_at: string | null;
            loading: components["schemas"]["LoadingEntry"] | null;
            /** @description Whether servers that are not managed serve it, too: then no verdict can say that nobody asked. */
            others_serve_it: boolean;
            /** @description Whether verdicts are given nevertheless. */
            others_waived: boolean;
            /** @description Of a transfer, the address and port of its primary. */
            primary: string | null;
            /**
             * Format: int64
             * @description Number of its RRsets.
             */
            resources: number;
            /**
             * Format: int32
             * @description The serial of the SOA that is loaded.
             */
            serial: number | null;
            /** @description The ids of the servers that serve it; empty for all. */
            servers: number[];
            /** @description Where it comes from: `upload`, `file` or `transfer`. */
            source: string;
            /** @description `empty`, `loaded`, `waiting` (an import would remove much, and waits for confirmation), `failed` or `expired`. */
            state: string;
            /** @description The algorithm of that key. */
            tsig_algorithm: string | null;
            /** @description Of a transfer, the name of its TSIG key. The secret is never shown. */
            tsig_name: string | null;
            /** @description The view in which it is served; an apex is in a view once. */
            view: string;
            /** @description Its apex. */
            zone: string;
            /**
             * Format: int32
             * @description Its id. An id is never used again.
             */
            zone_id: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type Action = components['schemas']['Action'];
export type AddressRow = components['schemas']['AddressRow'];
export type AlertBody = components['schemas']['AlertBody'];
export type AuditRow = components['schemas']['AuditRow'];
export type BackupKind = components['schemas']['BackupKind'];
export type BackupRow = components['schemas']['BackupRow'];
export type BackupState = components['schemas']['BackupState'];
export type BlindnessBody = components['schemas']['BlindnessBody'];
export type CaptureBody = components['schemas']['CaptureBody'];
export type Communication = components['schemas']['Communication'];
export type ComponentBody = components['schemas']['ComponentBody'];
export type ComponentsBody = components['schemas']['ComponentsBody'];
export type CoverageReport = components['schemas']['CoverageReport'];
export type Credential = components['schemas']['Credential'];
export type DiagnosticsRun = components['schemas']['DiagnosticsRun'];
export type DnsAggregate = components['schemas']['DnsAggregate'];
export type DnsPoint = components['schemas']['DnsPoint'];
export type DnsRate = components['schemas']['DnsRate'];
export type EffectiveSettings = components['schemas']['EffectiveSettings'];
export type EnrollmentBody = components['schemas']['EnrollmentBody'];
export type EnrollmentRequestBody = components['schemas']['EnrollmentRequestBody'];
export type Finding = components['schemas']['Finding'];
export type FindingStatus = components['schemas']['FindingStatus'];
export type GlobalAnswer = components['schemas']['GlobalAnswer'];
export type Handover = components['schemas']['Handover'];
export type Health = components['schemas']['Health'];
export type HeartbeatAnswerBody = components['schemas']['HeartbeatAnswerBody'];
export type HeartbeatBody = components['schemas']['HeartbeatBody'];
export type HeartbeatRow = components['schemas']['HeartbeatRow'];
export type ImageBody = components['schemas']['ImageBody'];
export type ImportedBody = components['schemas']['ImportedBody'];
export type ItemBody = components['schemas']['ItemBody'];
export type JobBody = components['schemas']['JobBody'];
export type JobWord = components['schemas']['JobWord'];
export type LabelledBody = components['schemas']['LabelledBody'];
export type ListBodyAffectedBody = components['schemas']['ListBody_AffectedBody'];
export type ListBodyRemovedBody = components['schemas']['ListBody_RemovedBody'];
export type ListBodyString = components['schemas']['ListBody_String'];
export type LoadingEntry = components['schemas']['LoadingEntry'];
export type Login = components['schemas']['Login'];
export type NewPlanBody = components['schemas']['NewPlanBody'];
export type NewServer = components['schemas']['NewServer'];
export type NewToken = components['schemas']['NewToken'];
export type NewUserBody = components['schemas']['NewUserBody'];
export type NewZone = components['schemas']['NewZone'];
export type ObservationRow = components['schemas']['ObservationRow'];
export type OverlappingProbes = components['schemas']['OverlappingProbes'];
export type PlanBody = components['schemas']['PlanBody'];
export type PlanChangeBody = components['schemas']['PlanChangeBody'];
export type ProbeSettingsBody = components['schemas']['ProbeSettingsBody'];
export type Problem = components['schemas']['Problem'];
export type ProtectionWord = components['schemas']['ProtectionWord'];
export type PushOrder = components['schemas']['PushOrder'];
export type RabbitmqBody = components['schemas']['RabbitmqBody'];
export type ReasonBody = components['schemas']['ReasonBody'];
export type Renewal = components['schemas']['Renewal'];
export type ResendBody = components['schemas']['ResendBody'];
export type ResourceChangeBody = components['schemas']['ResourceChangeBody'];
export type ResourceRow = components['schemas']['ResourceRow'];
export type RightsBody = components['schemas']['RightsBody'];
export type RightsChange = components['schemas']['RightsChange'];
export type RunState = components['schemas']['RunState'];
export type ServerChange = components['schemas']['ServerChange'];
export type ServerDetail = components['schemas']['ServerDetail'];
export type ServerEntry = components['schemas']['ServerEntry'];
export type ServerHealth = components['schemas']['ServerHealth'];
export type ServerState = components['schemas']['ServerState'];
export type SessionBody = components['schemas']['SessionBody'];
export type SettingsSet = components['schemas']['SettingsSet'];
export type SimulationBody = components['schemas']['SimulationBody'];
export type Source = components['schemas']['Source'];
export type SourceKind = components['schemas']['SourceKind'];
export type SpoolBody = components['schemas']['SpoolBody'];
export type SqlStatement = components['schemas']['SqlStatement'];
export type StageWord = components['schemas']['StageWord'];
export type Started = components['schemas']['Started'];
export type StateWord = components['schemas']['StateWord'];
export type StepBody = components['schemas']['StepBody'];
export type StepWord = components['schemas']['StepWord'];
export type SystemBucket = components['schemas']['SystemBucket'];
export type SystemMetric = components['schemas']['SystemMetric'];
export type SystemPoint = components['schemas']['SystemPoint'];
export type TokenAnswer = components['schemas']['TokenAnswer'];
export type TokenBody = components['schemas']['TokenBody'];
export type TrialAnswer = components['schemas']['TrialAnswer'];
export type TrialBody = components['schemas']['TrialBody'];
export type TsigBody = components['schemas']['TsigBody'];
export type UserAnswer = components['schemas']['UserAnswer'];
export type UserBody = components['schemas']['UserBody'];
export type UserChange = components['schemas']['UserChange'];
export type VerdictRow = components['schemas']['VerdictRow'];
export type ZoneChangeBody = components['schemas']['ZoneChangeBody'];
export type ZoneEntry = components['schemas']['ZoneEntry'];
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
