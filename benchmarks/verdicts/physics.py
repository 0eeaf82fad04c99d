"""Every number of the made-up world, each with the reason for it. Nothing here is taken from the engine's table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Disk:
    """`parallel` requests are served at once, each in `service_seconds`; what is beyond waits its turn."""

    name: str
    service_seconds: float
    parallel: float
    flood: tuple[float, float]
    """Outstanding requests that a batch job keeps on it."""


DISKS = (
    Disk("hdd", 0.008, 1.0, (3.0, 16.0)),  # one arm; 8 ms is a seek and half a turn at 7,200 rpm
    Disk("sata ssd", 0.00025, 8.0, (24.0, 256.0)),  # ~32 k IOPS; NCQ gives a job 32 slots, several jobs more
    Disk("cloud volume", 0.001, 3.0, (16.0, 128.0)),  # the usual 3,000 IOPS of a general purpose volume
    Disk("nvme", 0.0001, 64.0, (192.0, 1024.0)),  # ~640 k IOPS; only deep asynchronous queues saturate it
)


@dataclass(frozen=True)
class Physics:
    cores: tuple[int, ...] = (1, 2, 2, 4, 4, 8, 8, 16, 32, 64)
    """Small boxes are the common ones; 64 is where one thread is nothing beside the whole."""
    memory_gib: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 256)
    """From the smallest virtual machine to a database server."""
    intervals: tuple[float, ...] = (1.0, 5.0, 5.0, 10.0, 10.0, 15.0, 30.0, 30.0, 60.0, 60.0)
    """30 and 60 s are what people run (60 is hostmetrics' default); 1 s is rare and costly."""
    base_cpu: tuple[float, float] = (0.02, 0.35)
    """Share of the CPUs that the box's ordinary programs use: idle to moderately used."""
    base_memory: tuple[float, float] = (0.20, 0.65)
    """Memory not available on an ordinary day."""
    base_noise: float = 0.25
    """Relative second-to-second spread of ordinary CPU use; smooth in the mean of a scrape, as on real boxes."""
    base_depth: tuple[float, float] = (0.01, 0.15)
    """Outstanding disk requests of ordinary programs: a disk that is busy for 1 to 14 % of the time."""
    packets: tuple[float, float] = (300.0, 4000.0)
    """Per second and direction on an ordinary day."""
    run_spread: tuple[float, float] = (0.02, 0.12)
    """Spread of ln(work) between runs of one operation: input size, caches, garbage collection."""
    remote_spread: float = 0.10
    """Of a peer's answer time, beyond the run's own."""

    overload: tuple[float, float] = (1.3, 6.0)
    """Runnable threads per core of a CPU hog (`stress-ng`, a build, a compressing backup)."""
    nice_weight: float = 15.0 / 1024.0
    """Scheduler weight of nice 19 beside nice 0 (kernel `sched_prio_to_weight`)."""
    steal: tuple[float, float] = (0.25, 0.75)
    """Share of its time that a wanting virtual CPU does not get from an overcommitted hypervisor."""

    faults_begin: float = 0.94
    """Share of memory from which on the kernel drops file pages that programs are still using."""
    faults_full: float = 1.06
    """Share of memory wanted at which nearly every page that is touched was thrown out before."""
    faults_most: float = 6000.0
    """Major faults per second of CPU work then: every 170 us, as of a program that walks its heap once a minute."""
    level_most: float = 0.985
    """Memory never reads as entirely used: the kernel keeps its watermarks free."""
    cache_of_rest: float = 0.5
    """Of what is not used on an ordinary day: pages of files. Thrown out before memory runs out, read back by need."""
    shared: float = 0.01
    """Shared memory (tmpfs, a database's buffers), inside what is not available."""
    kept_free: float = 0.01
    """Share of memory that is never given to files: the kernel's watermarks."""
    swap_share: float = 0.7
    """Of the faults of a box with swap, those that read from swap; each pushed another page out before."""
    fill: tuple[float, float] = (0.05, 0.5)
    """GiB per second that an ordinary program fills with data of its own, slowly and fast; the memory itself would
    take ten times as much."""

    loss: tuple[float, float] = (0.01, 0.10)
    """Share of packets lost on a saturated link."""
    retransmit_seconds: float = 0.2
    """Least retransmission timeout of TCP on Linux; a lost packet of a small exchange costs about one."""
    bytes_per_packet: float = 600.0
    """Mean of small answers and full frames."""
    request_bytes: float = 65_536.0
    """Of one disk request: readahead and merged writes make them larger than a page."""

    app_factor: tuple[float, float] = (1.8, 7.0)
    """How much longer a trace takes by the program's own doing (sleep, lock, more work, retry, slow peer)."""
    container_cpu_seconds: float = 0.1
    """Period in which a container's CPU limit is enforced (CFS bandwidth)."""
    span_overhead_seconds: float = 0.0002
    """What a span takes that does nothing."""
    traces_seconds: tuple[float, float] = (0.3, 900.0)
    """Usual duration of a trace, log-uniform: from a request to a batch."""


PHYSICS = Physics()


def ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
