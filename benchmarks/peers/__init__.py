"""The same work by engines that others wrote: programs of their own, run in environments that hold them."""
