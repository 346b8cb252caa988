"""The calls of the Linux kernel that a process reading hostile files has no use for, and the filter that denies them.

Sockets; other processes' memory, priority and files; leaving the process group; doors around Landlock (io_uring,
handles, message queues, keys, watches); memory that
no limit counts; owner, mode, times and attributes of files, which Landlock does
not know; the machine's administration, and new namespaces. By hand, as no maintained package carries libseccomp.
"""

import errno
import struct
from typing import Final

# Name and number on x86_64 and on aarch64 (linux/asm/unistd_64.h, asm-generic/unistd.h); "-" where it has none.
_DENIED: Final = """
socket 41 198, socketpair 53 199, connect 42 203, bind 49 200, listen 50 201, accept 43 202, accept4 288 242,
sendto 44 206, sendmsg 46 211, sendmmsg 307 269,
ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440, kcmp 312 272,
pidfd_getfd 438 438, process_mrelease 448 448, setpriority 141 140, ioprio_set 251 30, sched_setparam 142 118,
sched_setscheduler 144 119, sched_setattr 314 274, migrate_pages 256 238, move_pages 279 239,
setsid 112 157, setpgid 109 154,
io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427, bpf 321 280, perf_event_open 298 241,
userfaultfd 323 282, open_by_handle_at 304 265, inotify_init 253 -, inotify_init1 294 26, fanotify_init 300 262,
keyctl 250 219, add_key 248 217, request_key 249 218, shmget 29 194, shmat 30 196, shmctl 31 195, semget 64 190,
semop 65 193, semtimedop 220 192, semctl 66 191, msgget 68 186, msgsnd 69 189, msgrcv 70 188, msgctl 71 187,
mq_open 240 180, mq_unlink 241 181,
memfd_create 319 279, memfd_secret 447 447,
chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -, fchown 93 55, lchown 94 -,
fchownat 260 54, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88, setxattr 188 5, lsetxattr 189 6,
fsetxattr 190 7, setxattrat 463 463, removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16,
removexattrat 466 466, file_setattr 469 469, truncate 76 45,
mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, move_mount 429 429, open_tree 428 428,
open_tree_attr 467 467, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433, mount_setattr 442 442,
unshare 272 97, setns 308 268, swapon 167 224, swapoff 168 225, reboot 169 142, kexec_load 246 104,
kexec_file_load 320 294, init_module 175 105, finit_module 313 273, delete_module 176 106, acct 163 89,
quotactl 179 60, quotactl_fd 443 443, settimeofday 164 170, clock_settime 227 112, adjtimex 159 171,
clock_adjtime 305 266, sethostname 170 161, setdomainname 171 162, syslog 103 116, iopl 172 -, ioperm 173 -,
vhangup 153 58, personality 135 92"""
_UNKNOWN: Final = 470  # calls from here on are younger than this list (and x86_64's second numbering): ENOSYS
# audit's name of the machine; the numbers of clone, prlimit64, kill, seccomp
MACHINES: Final = {
    "x86_64": (0xC000003E, 56, 302, 62, 317),
    "aarch64": (0xC00000B7, 220, 261, 129, 277),
}
_CLONE3: Final = (
    435  # its flags lie in memory, where no filter looks: libraries go back to clone where it is missing
)
_NEW_NAMESPACES: Final = 0x7E020000  # of clone's flags


def filter_program(machine: str) -> bytes:
    """The filter as a program in the kernel's BPF: 8 bytes an instruction (code, jumps if true and if false, operand).

    What is denied is EPERM; what no longer exists for the process is ENOSYS; calls of another machine's kind kill it.
    """
    audit, clone, prlimit, kill, _ = MACHINES[machine]
    column = 1 + list(MACHINES).index(machine)
    load_call, load_first = (
        (0x20, 0, 0, 0),
        (0x20, 0, 0, 16),
    )  # its number; the low half of its first argument
    allow, kill_it = (0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x80000000)
    refuse, unknown = (0x06, 0, 0, 0x50000 | errno.EPERM), (0x06, 0, 0, 0x50000 | errno.ENOSYS)
    equal, at_least, has_bit = 0x15, 0x35, 0x45
    code = [(0x20, 0, 0, 4), (equal, 1, 0, audit), kill_it, load_call]
    code += [(at_least, 0, 1, _UNKNOWN), unknown, (equal, 0, 1, _CLONE3), unknown]
    for entry in _DENIED.replace("\n", " ").split(","):
        number = entry.split()[column]
        if number != "-":
            code += [(equal, 0, 1, int(number)), refuse]
    code += [(equal, 0, 4, clone), load_first, (has_bit, 0, 1, _NEW_NAMESPACES), refuse, load_call]
    code += [(equal, 0, 4, prlimit), load_first, (equal, 1, 0, 0), refuse, load_call]  # of itself only
    code += [(equal, 0, 4, kill), load_first, (equal, 0, 1, 0xFFFFFFFF), refuse, load_call]  # -1 is everybody
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in [*code, allow])
