//! Replies of a metrics store, good and bad, and what they count.
