"""Charter bookings: an application built on trimtab's public names, with its own rules, store and mail."""
