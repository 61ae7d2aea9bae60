"""Surveys: questions, and how real populations answered them."""
