"""Distributional pluralism: the answers of a model beside those of populations."""
