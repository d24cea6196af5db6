"""What a data set says of itself: numbers by column, and the page that shows them."""
