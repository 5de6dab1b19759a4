"""Rollouts where policy, store, statistics and hosts meet: moved by people and gates, put in force stage by stage."""
