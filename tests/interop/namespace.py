# SPDX-License-Identifier: MIT
"""A private network: the thread that enters it, and whatever that starts from then on, have a loopback of their own, whose ports
nobody else uses. Linux alone has it, and root alone may make one; elsewhere the machine's own loopback serves."""
import ctypes
import fcntl
import socket
import struct

NEW_NETWORK, SET_FLAGS, UP = 0x40000000, 0x8914, 0x1


def enter():
    """Why the calling thread is still in the network it was in; None when it is in one of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare"):
        return "no unshare()"
    if libc.unshare(NEW_NETWORK):
        return "unshare: errno %d" % ctypes.get_errno()
    with socket.socket() as s:
        fcntl.ioctl(s, SET_FLAGS, struct.pack("16sH14x", b"lo", UP))
    return None
