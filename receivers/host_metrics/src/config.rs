//! Settings: otelcol's keys.

mod matcher;
mod process;
mod switches;
#[cfg(test)]
mod tests;

use phoenix_config::{Described, GoDuration, PresentBlock, Problems, Settings};
use serde::Deserialize;

use crate::catalog::{
    CpuMetric, DiskMetric, FilesystemMetric, LoadMetric, MemoryMetric, NetworkMetric, NfsMetric,
    PagingMetric, ProcessesMetric, SystemMetric,
};

pub(crate) use matcher::Filter;
pub use matcher::{
    DeviceMatch, FilesystemTypeMatch, InterfaceMatch, MatchType, MountPointMatch, ProcessMatch, RegexpCache,
};
pub(crate) use process::Attributes;
pub use process::{AttributeSwitch, ProcessAttributes, ProcessConfig};
pub(crate) use switches::Switches;

/// Settings of the `host_metrics` receiver.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct HostMetricsConfig {
    /// Time between two scrapes.
    pub collection_interval: GoDuration,
    /// Time before the first scrape.
    pub initial_delay: GoDuration,
    /// After which a scrape is cut short; what was not read by then counts as failed. 0 is no limit.
    pub timeout: GoDuration,
    /// Where the root of the host is, for a collector in a container.
    pub root_path: String,
    /// How often what hardly changes of a process (command line, owner) is read again; 0 is never.
    pub metadata_collection_interval: GoDuration,
    /// What is read; at least one.
    #[described(required)]
    pub scrapers: Scrapers,
}

/// What is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Scrapers {
    /// Time of each logical CPU by state.
    pub cpu: PresentBlock<CpuConfig>,
    /// Transfers and operations of block devices.
    pub disk: PresentBlock<DiskConfig>,
    /// Space and inodes of filesystems.
    pub filesystem: PresentBlock<FilesystemConfig>,
    /// Load averages.
    pub load: PresentBlock<LoadConfig>,
    /// Memory by state.
    pub memory: PresentBlock<MemoryConfig>,
    /// Transfers of interfaces, TCP connections by state.
    pub network: PresentBlock<NetworkConfig>,
    /// Calls, bytes and connections of the NFS client and the NFS server of the kernel.
    pub nfs: PresentBlock<NfsConfig>,
    /// Page faults, paging and swap space.
    pub paging: PresentBlock<PagingConfig>,
    /// CPU, memory and disk of each process.
    pub process: PresentBlock<ProcessConfig>,
    /// How many processes there are by state.
    pub processes: PresentBlock<ProcessesConfig>,
    /// Uptime.
    pub system: PresentBlock<SystemConfig>,
}

macro_rules! plain_scrapers {
    ($($(#[$doc:meta])* $config:ident: $catalog:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
        #[serde(deny_unknown_fields, default)]
        pub struct $config {
            /// Which metrics are sent.
            pub(crate) metrics: Switches<$catalog>,
        }
    )*};
}

plain_scrapers! {
    /// Settings of the scraper `cpu`.
    CpuConfig: CpuMetric;
    /// Settings of the scraper `memory`.
    MemoryConfig: MemoryMetric;
    /// Settings of the scraper `nfs`.
    NfsConfig: NfsMetric;
    /// Settings of the scraper `paging`.
    PagingConfig: PagingMetric;
    /// Settings of the scraper `processes`.
    ProcessesConfig: ProcessesMetric;
    /// Settings of the scraper `system`.
    SystemConfig: SystemMetric;
}

/// Settings of the scraper `load`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct LoadConfig {
    /// Which metrics are sent.
    pub(crate) metrics: Switches<LoadMetric>,
    /// Whether load is divided by the number of CPUs.
    pub cpu_average: bool,
}

/// Settings of the scraper `disk`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct DiskConfig {
    /// Which metrics are sent.
    pub(crate) metrics: Switches<DiskMetric>,
    /// Devices that are meant; all where there are none.
    pub include: DeviceMatch,
    /// Devices that are not.
    pub exclude: DeviceMatch,
}

/// Settings of the scraper `network`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Which metrics are sent.
    pub(crate) metrics: Switches<NetworkMetric>,
    /// Interfaces that are meant; all where there are none.
    pub include: InterfaceMatch,
    /// Interfaces that are not.
    pub exclude: InterfaceMatch,
}

/// Settings of the scraper `filesystem`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct FilesystemConfig {
    /// Which metrics are sent.
    pub(crate) metrics: Switches<FilesystemMetric>,
    /// Whether filesystems without a device are meant, too.
    pub include_virtual_filesystems: bool,
    /// Devices that are meant.
    pub include_devices: DeviceMatch,
    /// Devices that are not.
    pub exclude_devices: DeviceMatch,
    /// Types that are meant.
    pub include_fs_types: FilesystemTypeMatch,
    /// Types that are not.
    pub exclude_fs_types: FilesystemTypeMatch,
    /// Mount points that are meant.
    pub include_mount_points: MountPointMatch,
    /// Mount points that are not.
    pub exclude_mount_points: MountPointMatch,
}

impl Default for HostMetricsConfig {
    fn default() -> HostMetricsConfig {
        HostMetricsConfig {
            collection_interval: GoDuration::from_secs(60),
            initial_delay: GoDuration::from_secs(1),
            timeout: GoDuration::ZERO,
            root_path: String::new(),
            metadata_collection_interval: GoDuration::from_secs(300),
            scrapers: Scrapers::default(),
        }
    }
}

impl Scrapers {
    fn validate(&self, problems: &mut Problems) {
        macro_rules! metrics {
            ($($scraper:ident)*) => {$(
                if let Some(config) = self.$scraper.get() {
                    problems.within(concat!(stringify!($scraper), "::metrics"), |problems| config.metrics.validate(problems));
                }
            )*};
        }
        metrics! { cpu disk filesystem load memory network nfs paging processes process system }
        macro_rules! matches {
            ($($scraper:ident: $($key:ident)*;)*) => {$(
                if let Some(config) = self.$scraper.get() {
                    $(problems.within(concat!(stringify!($scraper), "::", stringify!($key)), |problems| config.$key.validate(problems));)*
                }
            )*};
        }
        matches! {
            disk: include exclude;
            network: include exclude;
            process: include exclude;
            filesystem: include_devices exclude_devices include_fs_types exclude_fs_types include_mount_points exclude_mount_points;
        }
        if let Some(config) = self.process.get() {
            problems.within("process", |problems| config.validate(problems));
        }
    }

    fn is_empty(&self) -> bool {
        macro_rules! none_of {
            ($($scraper:ident)*) => { true $(&& !self.$scraper.is_on())* };
        }
        none_of! { cpu disk filesystem load memory network nfs paging processes process system }
    }
}

impl Settings for HostMetricsConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(
            self.collection_interval.is_positive(),
            "collection_interval",
            "`collection_interval` must be greater than zero",
        );
        for (key, duration) in
            [("timeout", self.timeout), ("metadata_collection_interval", self.metadata_collection_interval)]
        {
            problems.require(!duration.is_negative(), key, format!("`{key}` must not be negative"));
        }
        if self.scrapers.is_empty() {
            problems.error_with_help(
                "scrapers",
                "at least one scraper is required",
                "for example `scrapers: {cpu: {}, memory: {}}`",
            );
        }
        problems.within("scrapers", |problems| self.scrapers.validate(problems));
    }
}
