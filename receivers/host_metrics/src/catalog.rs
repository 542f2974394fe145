//! Every metric that the receiver has, under the names, units and types of otelcol's `hostmetrics`.

use crate::metric::catalogs;

catalogs! {
    /// Of the scraper `cpu`.
    CpuMetric {
        Frequency: "system.cpu.frequency", "Hz", Gauge, false, "Current frequency of a logical CPU.";
        LogicalCount: "system.cpu.logical.count", "{cpu}", UpDownCounter, false, "Number of logical CPUs.";
        PhysicalCount: "system.cpu.physical.count", "{cpu}", UpDownCounter, false, "Number of cores in hardware.";
        Time: "system.cpu.time", "s", Counter, true, "Seconds that each logical CPU spent in each state.";
        Utilization: "system.cpu.utilization", "1", Gauge, false, "Share of its time that each logical CPU spent in each state since the last scrape.";
    }

    /// Of the scraper `disk`.
    DiskMetric {
        Io: "system.disk.io", "By", Counter, true, "Bytes transferred.";
        IoTime: "system.disk.io_time", "s", Counter, true, "Time in which the device was busy.";
        Merged: "system.disk.merged", "{operations}", Counter, true, "Operations merged into one physical access.";
        OperationTime: "system.disk.operation_time", "s", Counter, true, "Time that all operations took together.";
        Operations: "system.disk.operations", "{operations}", Counter, true, "Operations completed.";
        Pending: "system.disk.pending_operations", "{operations}", UpDownCounter, true, "Operations under way or queued.";
        WeightedIoTime: "system.disk.weighted_io_time", "s", Counter, true, "Busy time, multiplied by the operations that were under way.";
    }

    /// Of the scraper `filesystem`.
    FilesystemMetric {
        Inodes: "system.filesystem.inodes.usage", "{inodes}", UpDownCounter, true, "Inodes by state.";
        Usage: "system.filesystem.usage", "By", UpDownCounter, true, "Bytes by state.";
        Utilization: "system.filesystem.utilization", "1", Gauge, false, "Share of the bytes that are used, of those that can be.";
    }

    /// Of the scraper `load`.
    LoadMetric {
        Fifteen: "system.cpu.load_average.15m", "{thread}", Gauge, true, "Threads that run or wait to, averaged over 15 minutes.";
        One: "system.cpu.load_average.1m", "{thread}", Gauge, true, "Threads that run or wait to, averaged over one minute.";
        Five: "system.cpu.load_average.5m", "{thread}", Gauge, true, "Threads that run or wait to, averaged over 5 minutes.";
    }

    /// Of the scraper `memory`.
    MemoryMetric {
        Available: "system.linux.memory.available", "By", UpDownCounter, false, "Memory that programs can have without swapping, as the kernel estimates it.";
        Dirty: "system.linux.memory.dirty", "By", UpDownCounter, false, "Memory that waits to be written to disk.";
        Limit: "system.memory.limit", "By", UpDownCounter, false, "Memory that there is.";
        HugepagesLimit: "system.memory.linux.hugepages.limit", "{page}", UpDownCounter, false, "Huge pages that there are.";
        HugepagesPageSize: "system.memory.linux.hugepages.page_size", "By", Gauge, false, "Size of a huge page.";
        HugepagesReserved: "system.memory.linux.hugepages.reserved", "{page}", Gauge, false, "Huge pages that are promised and not yet given out.";
        HugepagesSurplus: "system.memory.linux.hugepages.surplus", "{page}", Gauge, false, "Huge pages beyond those that are kept.";
        HugepagesUsage: "system.memory.linux.hugepages.usage", "{page}", UpDownCounter, false, "Huge pages by state.";
        HugepagesUtilization: "system.memory.linux.hugepages.utilization", "1", Gauge, false, "Share of the huge pages by state.";
        PageSize: "system.memory.page_size", "By", Gauge, false, "Size of a page.";
        Usage: "system.memory.usage", "By", UpDownCounter, true, "Memory by state.";
        Utilization: "system.memory.utilization", "1", Gauge, false, "Share of the memory by state.";
    }

    /// Of the scraper `network`.
    NetworkMetric {
        Connections: "system.network.connections", "{connections}", UpDownCounter, true, "TCP connections by state.";
        ConntrackCount: "system.network.conntrack.count", "{entries}", UpDownCounter, false, "Entries in the table of tracked connections.";
        ConntrackMax: "system.network.conntrack.max", "{entries}", UpDownCounter, false, "Entries that the table of tracked connections can have.";
        Dropped: "system.network.dropped", "{packets}", Counter, true, "Packets dropped.";
        Errors: "system.network.errors", "{errors}", Counter, true, "Errors.";
        Io: "system.network.io", "By", Counter, true, "Bytes transferred.";
        Packets: "system.network.packets", "{packets}", Counter, true, "Packets transferred.";
    }

    /// Of the scraper `nfs`.
    NfsMetric {
        ClientNet: "nfs.client.net.count", "{record}", Counter, true, "Records that the client sent or received, by transport.";
        ClientConnections: "nfs.client.net.tcp.connection.accepted", "{connection}", Counter, true, "TCP connections of the client.";
        ClientOperations: "nfs.client.operation.count", "{operation}", Counter, true, "Operations of NFSv4 that the client asked for.";
        ClientProcedures: "nfs.client.procedure.count", "{procedure}", Counter, true, "Procedures that the client called.";
        ClientAuthRefreshes: "nfs.client.rpc.authrefresh.count", "{authrefresh}", Counter, true, "Credentials that the client had refreshed.";
        ClientCalls: "nfs.client.rpc.count", "{request}", Counter, true, "Calls of the client, whatever became of them.";
        ClientRetransmits: "nfs.client.rpc.retransmit.count", "{retransmit}", Counter, true, "Calls that the client sent again.";
        ServerStale: "nfs.server.fh.stale.count", "{fh}", Counter, true, "File handles that were stale.";
        ServerIo: "nfs.server.io", "By", Counter, true, "Bytes read and written for clients.";
        ServerNet: "nfs.server.net.count", "{request}", Counter, true, "Requests to the server, by transport.";
        ServerConnections: "nfs.server.net.tcp.connection.accepted", "{connection}", Counter, true, "TCP connections that the server accepted.";
        ServerOperations: "nfs.server.operation.count", "{operation}", Counter, true, "Operations of NFSv4 that the server carried out.";
        ServerProcedures: "nfs.server.procedure.count", "{procedure}", Counter, true, "Procedures that the server carried out.";
        ServerCache: "nfs.server.repcache.requests", "{request}", Counter, true, "Requests, by whether their reply was remembered.";
        ServerRefused: "nfs.server.rpc.count", "{request}", Counter, true, "Calls that the server refused, by why.";
        ServerThreads: "nfs.server.thread.count", "{thread}", UpDownCounter, true, "Threads of the server.";
    }

    /// Of the scraper `paging`.
    PagingMetric {
        Faults: "system.paging.faults", "{faults}", Counter, true, "Page faults.";
        Operations: "system.paging.operations", "{operations}", Counter, true, "Paging operations.";
        Usage: "system.paging.usage", "By", UpDownCounter, true, "Swap space by state.";
        Utilization: "system.paging.utilization", "1", Gauge, false, "Share of the swap space by state.";
    }

    /// Of the scraper `processes`.
    ProcessesMetric {
        Count: "system.processes.count", "{processes}", UpDownCounter, true, "Processes by state.";
        Created: "system.processes.created", "{processes}", Counter, true, "Processes created since the start of the host.";
    }

    /// Of the scraper `process`.
    ProcessMetric {
        ContextSwitches: "process.context_switches", "{count}", Counter, false, "Context switches of the process.";
        CpuTime: "process.cpu.time", "s", Counter, true, "CPU seconds of the process by state.";
        CpuUtilization: "process.cpu.utilization", "1", Gauge, false, "Share of the CPUs of the host that the process had since the last scrape, by state.";
        DiskIo: "process.disk.io", "By", Counter, true, "Bytes read and written by the process.";
        DiskOperations: "process.disk.operations", "{operations}", Counter, false, "Reads and writes of the process.";
        Handles: "process.handles", "{count}", UpDownCounter, false, "Handles of the process, on Windows.";
        MemoryUsage: "process.memory.usage", "By", UpDownCounter, true, "Memory of the process that is resident.";
        MemoryUtilization: "process.memory.utilization", "1", Gauge, false, "Memory of the process that is resident, in percent of that of the host.";
        MemoryVirtual: "process.memory.virtual", "By", UpDownCounter, true, "Address space of the process.";
        OpenFiles: "process.open_file_descriptors", "{count}", UpDownCounter, false, "File descriptors that the process has open.";
        PagingFaults: "process.paging.faults", "{faults}", Counter, false, "Page faults of the process.";
        SignalsPending: "process.signals_pending", "{signals}", UpDownCounter, false, "Signals that wait for the process.";
        Threads: "process.threads", "{threads}", UpDownCounter, false, "Threads of the process.";
        Uptime: "process.uptime", "s", Gauge, false, "Time since the process was started.";
    }

    /// Of the scraper `system`.
    SystemMetric {
        Uptime: "system.uptime", "s", Gauge, true, "Time since the start of the host.";
    }
}
