"""Posts: what anybody may read, and anybody on the team may write."""
