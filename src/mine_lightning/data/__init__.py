"""Marginal samplers, distributions that know their mutual information, and DataModules."""
