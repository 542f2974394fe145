//! Capabilities and flags.

/// Bits of capabilities or flags. Those that have no name are kept, and nothing depends on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(pub u64);

impl Set {
    /// Whether all of `bits` are there.
    pub fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }

    /// With `bits`, where `yes`.
    #[must_use]
    pub fn with(self, bits: u64, yes: bool) -> Set {
        if yes { Set(self.0 | bits) } else { self }
    }
}

/// What an agent can do.
pub mod agent {
    /// Every agent can.
    pub const REPORTS_STATUS: u64 = 0x0001;
    /// Takes configurations.
    pub const ACCEPTS_REMOTE_CONFIG: u64 = 0x0002;
    /// Tells what it runs with.
    pub const REPORTS_EFFECTIVE_CONFIG: u64 = 0x0004;
    /// Sends its own traces where it is told to.
    pub const REPORTS_OWN_TRACES: u64 = 0x0020;
    /// Sends its own metrics where it is told to.
    pub const REPORTS_OWN_METRICS: u64 = 0x0040;
    /// Sends its own logs where it is told to.
    pub const REPORTS_OWN_LOGS: u64 = 0x0080;
    /// Takes an address, headers and an interval for heartbeats.
    pub const ACCEPTS_OPAMP_CONNECTION_SETTINGS: u64 = 0x0100;
    /// Restarts on command.
    pub const ACCEPTS_RESTART_COMMAND: u64 = 0x0400;
    /// Tells how its components are.
    pub const REPORTS_HEALTH: u64 = 0x0800;
    /// Tells what became of a configuration.
    pub const REPORTS_REMOTE_CONFIG: u64 = 0x1000;
    /// Is heard of regularly.
    pub const REPORTS_HEARTBEAT: u64 = 0x2000;
    /// Tells which components it has.
    pub const REPORTS_AVAILABLE_COMPONENTS: u64 = 0x4000;
    /// Tells what became of connection settings.
    pub const REPORTS_CONNECTION_SETTINGS_STATUS: u64 = 0x8000;
    /// Every name, for people.
    pub const NAMES: [(u64, &str); 16] = [
        (REPORTS_STATUS, "reports_status"),
        (ACCEPTS_REMOTE_CONFIG, "accepts_remote_config"),
        (REPORTS_EFFECTIVE_CONFIG, "reports_effective_config"),
        (0x0008, "accepts_packages"),
        (0x0010, "reports_package_statuses"),
        (REPORTS_OWN_TRACES, "reports_own_traces"),
        (REPORTS_OWN_METRICS, "reports_own_metrics"),
        (REPORTS_OWN_LOGS, "reports_own_logs"),
        (ACCEPTS_OPAMP_CONNECTION_SETTINGS, "accepts_opamp_connection_settings"),
        (0x0200, "accepts_other_connection_settings"),
        (ACCEPTS_RESTART_COMMAND, "accepts_restart_command"),
        (REPORTS_HEALTH, "reports_health"),
        (REPORTS_REMOTE_CONFIG, "reports_remote_config"),
        (REPORTS_HEARTBEAT, "reports_heartbeat"),
        (REPORTS_AVAILABLE_COMPONENTS, "reports_available_components"),
        (REPORTS_CONNECTION_SETTINGS_STATUS, "reports_connection_settings_status"),
    ];
}

/// What a server can do.
pub mod server {
    /// Every server can.
    pub const ACCEPTS_STATUS: u64 = 0x01;
    /// Has configurations.
    pub const OFFERS_REMOTE_CONFIG: u64 = 0x02;
    /// Wants to know what agents run with.
    pub const ACCEPTS_EFFECTIVE_CONFIG: u64 = 0x04;
    /// Sets intervals of heartbeats.
    pub const OFFERS_CONNECTION_SETTINGS: u64 = 0x20;
}

/// Flags of an agent's message.
pub mod agent_flags {
    /// The identity is for the time being: the server is asked for one.
    pub const REQUEST_INSTANCE_UID: u64 = 0x1;
}

/// Flags of a server's message.
pub mod server_flags {
    /// The agent is to say everything again.
    pub const REPORT_FULL_STATE: u64 = 0x1;
    /// The agent is to say which components it has.
    pub const REPORT_AVAILABLE_COMPONENTS: u64 = 0x2;
}
