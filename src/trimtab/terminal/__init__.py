"""The Claude Code terminal: its settings, its requests, its transcripts."""
